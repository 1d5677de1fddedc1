/** All tests, one suite after the other, and one line with the counts of both. Arguments go to vitest. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Counts } from "./reporter.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const chromium = process.env.CHROMIUM ?? "/usr/bin/chromium";

const suites = [
  { config: "vitest.config.ts", skipped: undefined },
  { config: "vitest.browser.config.ts", skipped: existsSync(chromium) ? undefined : `${chromium} is missing: install Chromium, or set CHROMIUM to where it is` },
];

const folder = mkdtempSync(join(tmpdir(), "cadnn-test-"));
const total = { passed: 0, failed: 0, skipped: 0 };
for (const { config, skipped } of suites) {
  if (skipped !== undefined) {
    console.log(`\nskipped: the suite of ${config} (${skipped})`);
    total.skipped++;
    continue;
  }
  const file = join(folder, `${config}.json`);
  const vitest = join(root, "node_modules/vitest/vitest.mjs");
  const { status } = spawnSync(process.execPath, [vitest, "run", "--config", config, "--passWithNoTests", ...process.argv.slice(2)], {
    ...{ cwd: root, stdio: "inherit" },
    env: { ...process.env, CADNN_TEST_COUNTS: file },
  });
  const counts: Counts = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : { passed: 0, failed: 0, skipped: 0 };
  total.passed += counts.passed;
  total.failed += status === 0 ? counts.failed : Math.max(1, counts.failed);
  total.skipped += counts.skipped;
}
rmSync(folder, { recursive: true });
console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed === 0 ? 0 : 1;
