import { describe, expect, test } from "vitest";
import type { ConstantValue, Graph } from "../../src/ir/graph.ts";
import { countMacs, countParameters, type ZooName, zoo, zooGraph, zooNames } from "../../src/zoo/index.ts";
import { createRandom } from "../../src/zoo/random.ts";

/** Published figures: torchvision's and Caffe's model cards. */
const published: Readonly<Record<ZooName, readonly [macs: number, parameters: number]>> = {
  lenet5: [2_293_000, 431_080],
  alexnet: [724_406_816, 60_965_224],
  vgg16: [15_470_264_320, 138_357_544],
  resnet18: [1_814_073_344, 11_689_512],
  resnet50: [4_089_184_256, 25_557_032],
  mobilenet_v1: [568_740_352, 4_231_976],
  mobilenet_v2: [300_774_272, 3_504_872],
  inception_v3: [5_713_216_096, 23_834_568],
};

const weightsOf = (graph: Graph): ReadonlyMap<string, Float32Array> =>
  new Map(graph.nodes.filter((n) => n.op === "Conv" || n.op === "Gemm").map((n) => [n.name, (n.inputs[1] as ConstantValue).data as Float32Array]));

const zerosIn = (data: Float32Array): number => data.reduce((count, v) => count + (v === 0 ? 1 : 0), 0);

describe("zoo", () => {
  test.each(zooNames)("%s has the published MACs and parameters", (name) => {
    const graph = zooGraph(name);
    expect([countMacs(graph), countParameters(graph)]).toEqual(published[name]);
    expect([zoo[name].macs, zoo[name].parameters]).toEqual(published[name]);
    expect(graph.inputs.map((i) => [i.name, i.type.shape])).toEqual([["input", zoo[name].inputShape]]);
    expect(graph.outputs.map((o) => [o.name, o.value.type.shape])).toEqual([["logits", [1, name === "lenet5" ? 10 : 1000]]]);
  });

  test("ResNet-50 has its stride in the 3×3 convolution", () => {
    const strides = new Map(zooGraph("resnet50").nodes.map((n) => [n.name, n.attrs.strides]));
    expect([strides.get("layer2.0.conv1"), strides.get("layer2.0.conv2")]).toEqual([
      [1, 1],
      [2, 2],
    ]);
  });

  test("batch sets the first dimension and nothing else", () => {
    const graph = zooGraph("mobilenet_v1", { batch: 3 });
    expect(graph.outputs[0]?.value.type.shape).toEqual([3, 1000]);
    expect(countParameters(graph)).toBe(published.mobilenet_v1[1]);
  });

  test.each(["lenet5", "mobilenet_v2"] as const)("%s: sparsity is exact in each layer but the first convolution and depthwise ones", (name) => {
    const graph = zooGraph(name, { sparsity: 0.85, seed: 3 });
    const first = graph.nodes.find((n) => n.op === "Conv");
    for (const node of graph.nodes) {
      const data = weightsOf(graph).get(node.name);
      if (data === undefined) continue;
      const dense = node === first || (node.op === "Conv" && node.attrs.group !== 1);
      expect(zerosIn(data), node.name).toBe(dense ? 0 : Math.round(0.85 * data.length));
    }
  });

  test("equal seeds give equal weights, other seeds other ones", () => {
    const [a, b, c] = [7, 7, 8].map((seed) => weightsOf(zooGraph("lenet5", { seed })).get("ip2"));
    expect(a).toEqual(b);
    expect(a).not.toEqual(c);
  });

  test("pruned weights keep the variance of the sums they make", () => {
    for (const sparsity of [0, 0.5, 0.9]) {
      const data = weightsOf(zooGraph("lenet5", { sparsity })).get("ip1") as Float32Array;
      const energy = data.reduce((sum, v) => sum + v * v, 0) / data.length;
      expect(Math.abs(energy / (2 / 800) - 1)).toBeLessThan(0.03);
    }
  });

  test.each([{ sparsity: 1 }, { sparsity: -0.1 }, { sparsity: Number.NaN }, { seed: 0.5 }, { batch: 0 }])("rejects %o", (options) => {
    expect(() => zooGraph("lenet5", options)).toThrow(expect.objectContaining({ code: "E_INVALID_OPTION", at: Object.keys(options)[0] }));
  });

  test("names the nets it has", () => {
    expect(() => zooGraph("lenet6" as ZooName)).toThrow(expect.objectContaining({ code: "E_INVALID_OPTION", hint: expect.stringContaining("resnet50") }));
  });
});

describe("random", () => {
  test("normal numbers have the moments and tails of N(0, 1)", () => {
    const random = createRandom(1, "test");
    const n = 400_000;
    const moments = [0, 0, 0, 0];
    let beyond2 = 0;
    let beyond4 = 0;
    for (let i = 0; i < n; i++) {
      const x = random.normal();
      for (let k = 0; k < 4; k++) moments[k] = (moments[k] as number) + x ** (k + 1) / n;
      if (Math.abs(x) > 2) beyond2++;
      if (Math.abs(x) > 4) beyond4++;
    }
    expect(moments[0]).toBeCloseTo(0, 2);
    expect(moments[1]).toBeCloseTo(1, 1.7);
    expect(moments[2]).toBeCloseTo(0, 1);
    expect(moments[3]).toBeCloseTo(3, 1);
    expect(beyond2 / n).toBeCloseTo(0.0455, 2.5);
    expect(beyond4 / n).toBeCloseTo(6.3e-5, 4);
  });

  test("uniform numbers stay below 1 and fill [0, 1) evenly", () => {
    const random = createRandom(2);
    const bins = new Array<number>(10).fill(0);
    for (let i = 0; i < 100_000; i++) {
      const bin = Math.floor(10 * random.uniform());
      bins[bin] = (bins[bin] as number) + 1;
    }
    for (const count of bins) expect(Math.abs(count - 10_000)).toBeLessThan(500);
    expect(bins).toHaveLength(10);
  });

  test("streams of one seed differ", () => {
    expect(createRandom(1, "a").bits()).not.toBe(createRandom(1, "b").bits());
  });
});
