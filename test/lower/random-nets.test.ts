import fc from "fast-check";
import { describe, test } from "vitest";
import { targets } from "../../src/codegen/target.ts";
import { randomTensor } from "../passes/helpers.ts";
import { expectSame } from "./compare.ts";
import { buildNet, netSpec } from "./random-net.ts";

describe("random nets compute what the reference semantics say, whatever the order of threads between barriers", () => {
  const interleaving = { ...targets["wasm-x64-relaxed"], interleavedBytes: 0 };
  test.each([...Object.values(targets).map((target) => [target.name, target] as const), ["with interleaved rows", interleaving] as const])("%s", (_, target) => {
    fc.assert(
      fc.property(netSpec, (spec) => {
        const graph = buildNet(spec);
        expectSame(graph, { x: randomTensor(spec.image, 5) }, target);
      }),
      { numRuns: Number(process.env.RUNS ?? 100) },
    );
  });
});
