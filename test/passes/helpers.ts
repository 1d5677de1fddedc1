import { expect } from "vitest";
import type { ConstantValue, Graph, Value } from "../../src/ir/graph.ts";
import { formatNode } from "../../src/ir/print.ts";
import { elementCount, float32Tensor, type Tensor } from "../../src/ir/types.ts";
import { GraphBuilder } from "../../src/ops/builder.ts";
import { interpret } from "../../src/ops/interpret.ts";
import { verify } from "../../src/ops/verify.ts";

/** Numbers in −1…1, the same for the same seed. */
export function randomNumbers(seed: number): () => number {
  let state = (seed + 1) * 2654435761;
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) | 0;
    const mixed = Math.imul(state ^ (state >>> 12), 0x297a2d39);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 31 - 1;
  };
}

export function randomTensor(shape: readonly number[], seed: number): Tensor<"float32"> {
  const next = randomNumbers(seed);
  return float32Tensor(
    shape,
    Float32Array.from({ length: elementCount(shape) }, () => next()),
  );
}

/** A builder with constants of random elements. */
export class TestGraph extends GraphBuilder {
  #seed: number;

  constructor(seed = 0) {
    super("test");
    this.#seed = seed * 1000;
  }

  image(name: string, shape: readonly number[]) {
    return this.input(name, { dtype: "float32", shape });
  }

  weight(name: string, shape: readonly number[], map: (v: number) => number = (v) => v): ConstantValue {
    const tensor = randomTensor(shape, this.#seed++);
    return this.constant(name, float32Tensor(shape, tensor.data.map(map)));
  }

  filled(name: string, shape: readonly number[], value: number): ConstantValue {
    return this.weight(name, shape, () => value);
  }

  /** First output of node i. */
  resultOf(i: number): Value {
    const value = this.nodes.at(i)?.outputs[0];
    if (value === undefined) throw new Error(`no node ${i}`);
    return value;
  }

  /** scale, bias, mean and a variance that is positive. */
  statistics(name: string, channels: number): ConstantValue[] {
    return [
      this.weight(`${name}.scale`, [channels]),
      this.weight(`${name}.bias`, [channels]),
      this.weight(`${name}.mean`, [channels]),
      this.weight(`${name}.var`, [channels], (v) => 0.5 + Math.abs(v)),
    ];
  }
}

export const gemm = { alpha: 1, beta: 1, transA: false, transB: false };
export const conv = (pad = 0, stride = 1, group = 1) => ({ strides: [stride, stride], pads: [pad, pad, pad, pad], dilations: [1, 1], group });

/** Nodes and outputs, a line each. */
export function text(graph: Graph): string {
  return [...graph.nodes.map(formatNode), ...graph.outputs.map(({ name, value }) => `output ${name} = ${value.name}`)].join("\n");
}

/** How often each op occurs. */
export function histogram(graph: Graph): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { op } of graph.nodes) counts[op] = (counts[op] ?? 0) + 1;
  return counts;
}

/** Both graphs are well-formed and compute the same from random inputs, but for rounding: up to `tolerance` of each output's range. */
export function expectEquivalent(before: Graph, after: Graph, seed = 7, tolerance = 2e-6 * Math.max(1, before.nodes.length)): void {
  verify(after);
  const feeds = new Map(before.inputs.map((input, i) => [input.name, randomTensor(input.type.shape, seed + 100 * i)]));
  const expected = interpret(before, feeds).outputs;
  const actual = interpret(after, feeds).outputs;
  expect([...actual.keys()]).toEqual([...expected.keys()]);
  for (const [name, tensor] of expected) {
    const got = actual.get(name) as Tensor;
    expect([...got.shape]).toEqual([...tensor.shape]);
    let range = 1e-3;
    for (const v of tensor.data) range = Math.max(range, Math.abs(Number(v)));
    let worst = 0;
    for (let i = 0; i < tensor.data.length; i++) {
      const [a, b] = [Number(tensor.data[i]), Number(got.data[i])];
      if (!Object.is(a, b)) worst = Math.max(worst, Math.abs(a - b));
    }
    expect(worst / range, `${name}\n${text(before)}\n=>\n${text(after)}`).toBeLessThan(tolerance);
  }
}
