import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** An engine with a command that opens a page in it. The page reports by itself, so that no driver is needed. */
export interface Browser {
  readonly name: string;
  readonly executable: string;
  /** Other commands that must be there. */
  readonly needs: readonly string[];
  /** Debian's packages that bring all of it. */
  readonly packages: string;
  /** Name and version, where the executable tells it. */
  version(): string;
  /** The command line that opens `url` with nothing kept outside the folder `profile`. */
  command(url: string, profile: string): { readonly command: string; readonly args: readonly string[]; readonly env?: Readonly<Record<string, string>> };
}

const told = (command: string, ...args: string[]): string => execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();

/** Firefox asks for nothing, fetches nothing by itself, and shows a page at once. */
const firefoxSettings = {
  "browser.shell.checkDefaultBrowser": false,
  "browser.aboutwelcome.enabled": false,
  "datareporting.policy.dataSubmissionEnabled": false,
  "toolkit.telemetry.reportingpolicy.firstRun": false,
  "app.normandy.enabled": false,
  "app.update.enabled": false,
  "extensions.update.enabled": false,
  "browser.safebrowsing.malware.enabled": false,
  "browser.safebrowsing.phishing.enabled": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  "services.settings.server": "data:,",
  "browser.sessionstore.resume_from_crash": false,
} as const;

export const browsers: readonly Browser[] = [
  {
    name: "chromium",
    executable: process.env.CHROMIUM ?? "/usr/bin/chromium",
    needs: [],
    packages: "chromium",
    version() {
      return told(this.executable, "--version", "--no-sandbox").replace(/ built on.*/, "");
    },
    command(url, profile) {
      const quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run", "--no-default-browser-check"];
      return { command: this.executable, args: ["--headless=new", "--no-sandbox", "--disable-gpu", `--user-data-dir=${profile}`, ...quiet, url] };
    },
  },
  {
    name: "firefox",
    executable: process.env.FIREFOX ?? "/usr/bin/firefox-esr",
    needs: [],
    packages: "firefox-esr",
    version() {
      return told(this.executable, "--version");
    },
    command(url, profile) {
      writeFileSync(
        join(profile, "user.js"),
        Object.entries(firefoxSettings)
          .map(([key, value]) => `user_pref(${JSON.stringify(key)}, ${JSON.stringify(value)});\n`)
          .join(""),
      );
      return { command: this.executable, args: ["--headless", "--no-remote", "--profile", profile, url], env: { HOME: profile } };
    },
  },
  {
    name: "webkit",
    executable: process.env.MINIBROWSER ?? "/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser",
    needs: ["xvfb-run", "xauth"],
    packages: "webkit2gtk-driver libwebkit2gtk-4.1-0 xvfb xauth",
    version() {
      return told("xvfb-run", "--auto-servernum", this.executable, "--version");
    },
    command(url, profile) {
      // Isolated pages of Safari share memory; those of MiniBrowser do only if told to.
      const env = { HOME: profile, XDG_RUNTIME_DIR: profile, WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: "1", JSC_useSharedArrayBuffer: "1" };
      return { command: "xvfb-run", args: ["--auto-servernum", this.executable, "--private", url], env };
    },
  },
];

/** Why the browser cannot be started here; undefined if it can. */
export function missing(browser: Browser): string | undefined {
  const found = (name: string) => (process.env.PATH ?? "").split(":").some((folder) => existsSync(join(folder, name)));
  const absent = [...(existsSync(browser.executable) ? [] : [browser.executable]), ...browser.needs.filter((name) => !found(name))];
  return absent.length === 0 ? undefined : `${absent.join(", ")} is missing (Debian: apt-get install ${browser.packages})`;
}

const live = new Set<() => void>();
process.on("exit", () => {
  for (const end of live) end();
});

/** Opens a page in a new process group, with a profile of its own; the function that is returned ends all of it. */
export function open(browser: Browser, url: string): { readonly exited: Promise<string>; end(): void } {
  const profile = mkdtempSync(join(tmpdir(), `cadnn-${browser.name}-`));
  const { command, args, env } = browser.command(url, profile);
  const child: ChildProcess = spawn(command, args, { detached: true, stdio: "ignore", env: { ...process.env, ...env } });
  const end = (): void => {
    if (!live.delete(end)) return;
    try {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
    rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  };
  live.add(end);
  const exited = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(String(error)));
    child.once("exit", (code, signal) => resolve(`${command} ended with ${signal ?? `code ${code}`}`));
  });
  return { exited, end };
}
