import { expect, test } from "vitest";
import { targets } from "../../src/codegen/target.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { elementCount, float32Tensor, type Tensor } from "../../src/ir/types.ts";
import { lower } from "../../src/lower/index.ts";
import { makeTrainingGraph, weightRoles } from "../../src/train/training-graph.ts";
import { zooGraph } from "../../src/zoo/index.ts";
import { createRandom } from "../../src/zoo/random.ts";
import { tinyNet } from "../train/toy.ts";
import { Machine, orders } from "./machine.ts";

const bytesOf = (data: Tensor["data"] = new Uint8Array()) => new Uint8Array(data.buffer as ArrayBuffer);

function everyNthWeight(net: Graph, n: number): Map<string, Int32Array> {
  const weights = [...weightRoles(net)].filter(([, role]) => role === "weight");
  return new Map(weights.map(([{ name, data }]) => [name, Int32Array.from({ length: Math.ceil(data.length / n) }, (_, i) => n * i)]));
}

/** Barriers keep the parts of a training step apart, its updates among them. */
test.each([
  ["tiny net", tinyNet(), 8, undefined],
  ["LeNet-5", zooGraph("lenet5"), 4, undefined],
  ["tiny net, a seventh of whose weights are left,", tinyNet(), 8, 7],
] as const)("a training step of %s leaves the same bits on any number of threads, in any order", (_, net, batch, everyNth) => {
  const supports = everyNth === undefined ? undefined : everyNthWeight(net, everyNth);
  const { graph, classes } = makeTrainingGraph(net, { batch, optimizer: { kind: "adam" }, ...(supports === undefined ? {} : { supports }) });
  const random = createRandom(1, "step");
  const feeds = Object.fromEntries(
    graph.inputs.map(({ name, type: { dtype, shape } }): [string, Tensor] => {
      const count = elementCount(shape);
      if (dtype === "int32") return [name, { dtype, shape, data: Int32Array.from({ length: count }, (_unused, i) => i % classes) }];
      return [name, float32Tensor(shape, shape.length === 0 ? [0.5] : Float32Array.from({ length: count }, () => random.normal()))];
    }),
  );
  const step = (threads: number, order: (typeof orders)[number]) => new Machine(lower(graph, targets["wasm-x64-relaxed"])).run(feeds, threads, order);
  const single = step(1, "call by call");
  for (const [name, { data }] of single)
    expect(
      (data as Float32Array).findIndex((v) => !Number.isFinite(v)),
      name,
    ).toBe(-1);
  for (const order of orders) for (const [name, { data }] of step(3, order)) expect(Buffer.compare(bytesOf(data), bytesOf(single.get(name)?.data)), `${name}, ${order}`).toBe(0);
});
