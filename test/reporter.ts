import { writeFileSync } from "node:fs";
import type { TestModule } from "vitest/node";
import type { Reporter } from "vitest/reporters";

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/**
 * Prints the counts as the last line, on a line of its own, in a form that stays the same over versions of vitest; or writes them to the
 * file that `CADNN_TEST_COUNTS` names.
 */
export class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const counts = { passed: 0, failed: errors.length, skipped: 0 };
    for (const module of modules) {
      let tests = 0;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        counts[state === "pending" ? "failed" : state]++;
        tests++;
      }
      // A file that fails before any test of it has a result counts as one failure.
      if (module.state() === "failed" && (tests === 0 || module.errors().length > 0)) counts.failed++;
    }
    const file = process.env.CADNN_TEST_COUNTS;
    if (file !== undefined) writeFileSync(file, JSON.stringify(counts satisfies Counts));
    // After the summaries of other reporters, which may be written later in the same event.
    else process.on("exit", () => process.stdout.write(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`));
  }
}
