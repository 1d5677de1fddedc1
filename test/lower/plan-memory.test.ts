import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { control } from "../../src/artifact/control.ts";
import { targets } from "../../src/codegen/target.ts";
import { x32Copy } from "../../src/kernels/wasm/x32-copy.ts";
import { lower } from "../../src/lower/index.ts";
import type { Buffer, KernelCall, MemoryPlan, Port } from "../../src/lower/kernel-graph.ts";
import { planMemory } from "../../src/lower/plan-memory.ts";
import { optimize } from "../../src/passes/index.ts";
import { zooGraph } from "../../src/zoo/index.ts";

/** First and last call, −1 for what is fed and `calls.length` for what is read after the run, in which a buffer holds something. */
function lifeOf(buffer: Buffer, calls: readonly Pick<KernelCall, "operands">[], inputs: readonly Port[], outputs: readonly Port[]): readonly [number, number] {
  const steps = calls.flatMap((call, i) => (call.operands.some((o) => o.buffer === buffer) ? [i] : []));
  const all = [...(inputs.some((p) => p.place.buffer === buffer) ? [-1] : []), ...steps, ...(outputs.some((p) => p.place.buffer === buffer) ? [calls.length] : [])];
  return [Math.min(...all), Math.max(...all)];
}

function check(plan: MemoryPlan, calls: readonly KernelCall[], inputs: readonly Port[], outputs: readonly Port[]): void {
  const placed = [...plan.addresses].map(([buffer, start]) => ({ buffer, start, end: start + buffer.bytes, life: lifeOf(buffer, calls, inputs, outputs) }));
  for (const { start, end } of placed) {
    expect(start % 64).toBe(0);
    expect(start).toBeGreaterThanOrEqual(control.bytes);
    expect(end).toBeLessThanOrEqual(plan.bytes);
  }
  for (const [i, a] of placed.entries())
    for (const b of placed.slice(0, i)) {
      const together = a.buffer.region === "resident" || b.buffer.region === "resident" || (a.life[0] <= b.life[1] && b.life[0] <= a.life[1]);
      if (together && a.start < b.end && b.start < a.end) throw new Error(`${a.buffer.name} and ${b.buffer.name} share memory while both are alive`);
    }
  for (const { operands } of calls) for (const { buffer } of operands) expect(plan.addresses.has(buffer)).toBe(true);
}

const random = fc.record({
  sizes: fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 3, maxLength: 14 }),
  calls: fc.array(fc.array(fc.nat(13), { minLength: 2, maxLength: 4 }), { minLength: 1, maxLength: 20 }),
  residents: fc.nat(3),
});

describe("planMemory", () => {
  test("buffers that are alive together never overlap", () => {
    fc.assert(
      fc.property(random, ({ sizes, calls: operands, residents }) => {
        const buffers = sizes.map((elements, id): Buffer => ({ id, name: `b${id}`, bytes: elements * 4, region: id < residents ? "resident" : "arena" }));
        const at = (i: number) => ({ buffer: buffers[i % buffers.length] as Buffer, offset: 0 });
        const calls = operands.map((o): KernelCall => ({ template: x32Copy as never, problem: {}, choice: {}, operands: o.map(at), node: "", macs: 0 }));
        const port = (buffer: Buffer): Port => ({ name: buffer.name, dtype: "float32", shape: [buffer.bytes / 4], place: { buffer, offset: 0 } });
        const [inputs, outputs] = [[port(buffers.at(-1) as Buffer)], [port(buffers.at(-2) as Buffer)]];
        const plan = planMemory(calls, inputs, outputs, [], buffers.slice(0, residents));
        check(plan, calls, inputs, outputs);
        expect(plan).toEqual(planMemory(calls, inputs, outputs, [], buffers.slice(0, residents)));
      }),
      { numRuns: 300 },
    );
  });

  test.each(["mobilenet_v2", "inception_v3"] as const)("%s: no overlap, and far less than the sum of all values", (name) => {
    const { calls, inputs, outputs, memory } = lower(optimize(zooGraph(name)), targets["wasm-x64-relaxed"]);
    check(memory, calls, inputs, outputs);
    const sum = [...memory.addresses.keys()].filter((b) => b.region === "arena").reduce((n, b) => n + b.bytes, 0);
    expect(memory.arenaBytes).toBeLessThan(sum / 4);
  });
});
