import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { targets } from "../../../src/codegen/target.ts";
import { i32 } from "../../../src/codegen/wasm/code.ts";
import { i32Params, ModuleBuilder } from "../../../src/codegen/wasm/module.ts";
import { CadnnError } from "../../../src/errors.ts";
import { countCalls, countedWasmFlags, createCycleCounter, emulate, findToolchain } from "../../../src/node/arm64/index.ts";
import { createCountingMeasurer, formatLog, tune } from "../../../src/tune/index.ts";
import { zooGraph } from "../../../src/zoo/index.ts";

const missing = await findToolchain().then(
  () => undefined,
  (error: unknown) => (error instanceof CadnnError && error.code === "E_TOOL_MISSING" ? error : Promise.reject(error)),
);
if (missing !== undefined) console.log(`skipped: no emulation of ARM64 here: ${missing.message}. ${missing.hint}`);

const folder = mkdtempSync(join(tmpdir(), "cadnn-emulation-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Counts down from its parameter, and traps if that is 0. */
function countdown(): Uint8Array {
  const builder = new ModuleBuilder();
  builder.export(
    "countdown",
    builder.function(i32Params(1), (fn) => {
      const left = fn.let(i32.divU(i32.mul(fn.param(0), fn.param(0)), fn.param(0)));
      fn.doWhile(
        () => fn.set(left, i32.sub(left, i32.const(1))),
        () => left,
      );
    }),
  );
  const { bytes, sharedFlagOffset } = builder.finish({ import: ["env", "memory"], pages: 1 });
  const module = Uint8Array.from(bytes);
  module[sharedFlagOffset] = 1;
  return module;
}

describe.skipIf(missing !== undefined)("in emulation of ARM64", { timeout: 300_000 }, () => {
  test("a program's marks end intervals; what it says and how it fails is passed on", async () => {
    const program = join(folder, "guest.cjs");
    writeFileSync(
      program,
      'const fs = require("node:fs"); for (const i of [7, 8]) fs.existsSync("/cadnn-interval/" + i); console.log(process.arch); process.exit(Number(process.argv[2]));',
    );
    const { intervals, stdout } = await emulate([...countedWasmFlags, program, "0"]);
    expect([stdout, intervals.map((i) => i.label)]).toEqual(["arm64\n", [7, 8]]);
    await expect(emulate([program, "3"])).rejects.toMatchObject({ code: "E_WORKER", message: expect.stringContaining("status 3") });
  });

  test("counts of calls are exact, and cycles follow the processors' models", async () => {
    const call = (n: number) => ({ name: "countdown", runs: [[n]] });
    const job = { module: countdown(), pages: 1, memory: new Uint8Array(16), calls: [1000, 2000, 0, 3000].map(call) };
    const [a, b, trapped, c] = await countCalls(job);
    expect(trapped).toBeUndefined();
    expect((c?.instructions ?? 0) - (b?.instructions ?? 0)).toBe((b?.instructions ?? 0) - (a?.instructions ?? 0));
    const loop = b?.traces.find((t) => t.loop);
    expect(2000 % (loop?.runs ?? 0)).toBe(0); // V8 unrolls it
    expect(loop?.code.join("\n")).toMatch(/sub/);
    for (const cycles of Object.values(b?.cycles ?? {})) expect(cycles).toBeGreaterThanOrEqual(2000);
    expect(b?.cycles.a55).toBeGreaterThan(b?.cycles.x1 ?? 0);
  });

  test("tuning gives the same records each time", async () => {
    const net = zooGraph("lenet5", { sparsity: 0.9, seed: 3 });
    const target = targets["wasm-arm64-plain"];
    const records = async () => formatLog((await tune(net, { target, measurer: createCountingMeasurer(await createCycleCounter(["a76", "x1"])) })).log);
    const first = await records();
    expect(first).toMatch(/"engine":"v8-[\d.]+\/llvm-\d+\/a76-x1"/);
    expect(await records()).toBe(first);
  });
});
