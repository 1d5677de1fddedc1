import { afterAll, describe, test, vi } from "vitest";
import { kernelTable } from "../../src/kernels/table.ts";
import { useEngine } from "../engine.ts";
import { find, openEmulated, type Shell } from "./emulated.ts";

/** The tests of every kernel of the table, run in an emulated engine; skipped where there is none. */
export async function testKernelsIn(shell: Shell): Promise<void> {
  const found = await find(shell);
  if ("missing" in found) {
    console.log(`skipped: kernels on arm64 in ${shell}: ${found.missing}`);
    describe.skip(`kernels on arm64 in ${shell}`, () => test("every kernel of the table", () => {}));
    return;
  }
  vi.setConfig({ testTimeout: 240_000 });
  const engine = openEmulated(shell, found.command);
  afterAll(() => engine.close());
  useEngine(engine);
  for (const { name } of kernelTable) await import(`../kernels/${name}.test.ts`);
}
