import { existsSync } from "node:fs";
import { resolve } from "node:path";
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

/** Real data, where a checkout has it beside it. */
const shared = resolve(import.meta.dirname, "../shared/data");
const dataFolder = (): string | null => (existsSync(shared) ? shared : null);

/** Runs in Node, and opens the browsers that are there. */
const otherEngines = "test/browser/engines.test.ts";

const project = (name: string, headers: Record<string, string>) => ({
  server: { headers, fs: { allow: [import.meta.dirname, shared] } },
  test: {
    name,
    provide: { isolated: name === "isolated" },
    include: ["test/browser/**/*.test.ts"],
    exclude: [otherEngines],
    testTimeout: 60_000,
    fileParallelism: false,
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      commands: { bundleRuntime, dataFolder },
      provider: playwright({ launchOptions }),
      instances: [{ browser: "chromium" as const }],
    },
  },
});

export default defineConfig({
  test: {
    reporters: ["default", new CountReporter()],
    projects: [project("isolated", isolation), project("not isolated", {}), { test: { name: "other engines", include: [otherEngines], testTimeout: 120_000 } }],
  },
});
