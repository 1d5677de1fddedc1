import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { placeBarriers } from "../../src/generate/barriers.ts";
import { kernelTable } from "../../src/kernels/table.ts";
import type { Buffer, KernelCall, MemoryPlan } from "../../src/lower/kernel-graph.ts";

const buffer = (id: number, bytes = 64): Buffer => ({ id, name: `b${id}`, bytes, region: "arena" });

function call(inputs: readonly Buffer[], output: Buffer, joins = false): KernelCall {
  const operands = [...inputs, output].map((b) => ({ buffer: b, offset: 0 }));
  return { template: kernelTable[0] as (typeof kernelTable)[number], problem: null, choice: null, operands, node: "n", macs: 0, ...(joins ? { joins } : {}) };
}

const plan = (addresses: readonly (readonly [Buffer, number])[]): MemoryPlan => ({ addresses: new Map(addresses), staging: 0, bytes: 0, arenaBytes: 0, residentBytes: 0 });

const [a, b, c, d] = [buffer(0), buffer(1), buffer(2), buffer(3)] as [Buffer, Buffer, Buffer, Buffer];
const apart = plan([a, b, c, d].map((x, i) => [x, 64 * i]));

describe("placeBarriers", () => {
  test("before a call that reads what another wrote", () => expect(placeBarriers([call([a], b), call([b], c)], apart)).toEqual([false, true]));
  test("before a call that overwrites what another reads", () => expect(placeBarriers([call([a], b), call([c], a)], apart)).toEqual([false, true]));
  test("before a call that overwrites what another wrote", () => expect(placeBarriers([call([a], b), call([c], b)], apart)).toEqual([false, true]));
  test("not between calls that have nothing in common", () => expect(placeBarriers([call([a], b), call([a], c), call([a], d)], apart)).toEqual([false, false, false]));
  test("one serves all calls before it", () => expect(placeBarriers([call([], a), call([], b), call([a], c), call([b], d)], apart)).toEqual([false, false, true, false]));
  test("not between calls that write parts of one buffer", () => expect(placeBarriers([call([a], c), call([b], c, true)], apart)).toEqual([false, false]));
  test("but for a part that reads what the others read and write", () => expect(placeBarriers([call([a], c), call([c], c, true)], apart)).toEqual([false, true]));
  test("buffers that share memory are one", () => {
    const shared = plan([
      [a, 0],
      [b, 64],
      [c, 32],
    ]);
    expect(placeBarriers([call([a], b), call([], c)], shared)).toEqual([false, true]);
  });

  test("of two calls that clash, a barrier lies between; each barrier has a clash to part", () => {
    const buffers = Array.from({ length: 5 }, (_, i) => buffer(i));
    const calls = fc.array(
      fc.record({ inputs: fc.subarray(buffers, { maxLength: 3 }), output: fc.constantFrom(...buffers), joins: fc.boolean() }).map((x) => call(x.inputs, x.output, x.joins)),
      { maxLength: 14 },
    );
    fc.assert(
      fc.property(calls, fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 5, maxLength: 5 }), (list, places) => {
        const memory = plan(buffers.map((x, i) => [x, 32 * (places[i] as number)]));
        const barriers = placeBarriers(list, memory);
        const range = (x: Buffer) => [memory.addresses.get(x) as number, (memory.addresses.get(x) as number) + x.bytes] as const;
        const overlap = (x: Buffer, y: Buffer) => range(x)[0] < range(y)[1] && range(y)[0] < range(x)[1];
        const buffersOf = (k: KernelCall) => ({ reads: k.operands.slice(0, -1).map((o) => o.buffer), writes: k.operands.at(-1)?.buffer as Buffer });
        const clash = (first: KernelCall, second: KernelCall) => {
          const [x, y] = [buffersOf(first), buffersOf(second)];
          const parts = second.joins === true && x.writes === y.writes;
          return (overlap(x.writes, y.writes) && !parts) || y.reads.some((r) => overlap(x.writes, r)) || x.reads.some((r) => overlap(r, y.writes));
        };
        let since = 0;
        list.forEach((k, j) => {
          const clashes = list.slice(since, j).some((earlier) => clash(earlier, k));
          expect(barriers[j]).toBe(clashes);
          if (barriers[j] === true) since = j;
        });
      }),
      { numRuns: 300 },
    );
  });
});
