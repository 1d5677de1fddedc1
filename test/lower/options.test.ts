import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { targets } from "../../src/codegen/target.ts";
import { type LowerOptions, lower } from "../../src/lower/index.ts";
import { optimize } from "../../src/passes/index.ts";
import { zooGraph } from "../../src/zoo/index.ts";
import { randomTensor } from "../passes/helpers.ts";
import { expectSame } from "./compare.ts";
import { buildNet, netSpec } from "./random-net.ts";

const target = targets["wasm-x64-relaxed"];
const names = ["layout", "loadElimination", "winograd"] as const;
const without = (...left: readonly (typeof names)[number][]): LowerOptions => Object.fromEntries(left.map((name) => [name, false]));

describe("whatever is left out of lowering, random nets compute what the reference semantics say", () => {
  test.each([...names.map((name) => [name]), names].map((left) => ({ left, text: left.join(", ") })))("without $text", ({ left }) => {
    const options = without(...left);
    fc.assert(
      fc.property(netSpec, (spec) => expectSame(buildNet(spec), { x: randomTensor(spec.image, 5) }, target, 1e-5, options)),
      { numRuns: Number(process.env.RUNS ?? 30) },
    );
  });
});

describe("what is left out is not there", () => {
  const graph = optimize(zooGraph("mobilenet_v2", { sparsity: 0.5 }));

  test("load elimination: no choice shares loads", () => {
    const shared = (options: LowerOptions) => lower(graph, target, options).calls.filter(({ template, problem, choice }) => template.sharesLoads?.(problem, choice));
    expect(shared({})).not.toEqual([]);
    expect(shared(without("loadElimination"))).toEqual([]);
  });

  test("layout: every plane that is written is compact, every weight row-major", () => {
    const { calls, prepare } = lower(graph, target, without("layout"));
    const problems = calls
      .filter((c) => ["f32-gemm", "f32-spmm", "f32-window"].includes(c.template.name))
      .map((c) => c.problem as { region: { h: number; w: number; outPitch: number } });
    for (const { region } of problems) expect(region.h === 1 || region.outPitch <= Math.max(4, region.w)).toBe(true);
    expect(prepare.filter((p) => p.spec.kind === "pack")).toEqual([]);
  });
});
