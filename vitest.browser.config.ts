import { playwright } from "@vitest/browser-playwright";
import { build } from "esbuild";
import { defineConfig } from "vitest/config";
import { CountReporter } from "./test/reporter.ts";

/** Debian's Chromium, quiet: it fetches nothing by itself. */
const launchOptions = {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"],
};

const isolation = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

async function bundleRuntime(): Promise<string> {
  const result = await build({ entryPoints: ["src/runtime/index.ts"], bundle: true, format: "esm", target: "es2022", minify: true, write: false });
  return result.outputFiles[0]?.text ?? "";
}

const project = (name: string, headers: Record<string, string>) => ({
  server: { headers },
  test: {
    name,
    provide: { isolated: name === "isolated" },
    include: ["test/browser/**/*.test.ts"],
    testTimeout: 60_000,
    fileParallelism: false,
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      commands: { bundleRuntime },
      provider: playwright({ launchOptions }),
      instances: [{ browser: "chromium" as const }],
    },
  },
});

export default defineConfig({
  test: { reporters: ["default", new CountReporter()], projects: [project("isolated", isolation), project("not isolated", {})] },
});
