import type { Graph } from "../../ir/graph.ts";
import { withWeights } from "../../train/weights.ts";
import { applyMask } from "../projections/unstructured.ts";
import { analyzeChannels, mixesOf } from "./channels.ts";
import { liveWeights } from "./remove.ts";

type Arrays = ReadonlyMap<string, Float32Array>;

/**
 * Masks all of whose weights are live. `choose` picks weights of the values it is given, of each layer as many as are available; weights that turn out to have no live
 * input or output are taken away, and it picks again, until the budget is full of live ones.
 */
export function liveMasks(graph: Graph, values: Arrays, choose: (values: Arrays, available: (name: string) => number) => ReadonlyMap<string, Uint8Array>): Map<string, Uint8Array> {
  const dead = new Map<string, Uint8Array>();
  for (;;) {
    const isDead = (name: string, i: number) => dead.get(name)?.[i] === 1;
    const left = new Map([...values].map(([name, w]) => [name, dead.has(name) ? w.map((v, i) => (isDead(name, i) ? 0 : v)) : w]));
    const available = (name: string) => (values.get(name)?.length ?? 0) - (dead.get(name)?.reduce((n, d) => n + d, 0) ?? 0);
    const masks = new Map([...choose(left, available)].map(([name, mask]) => [name, mask.map((m, i) => (isDead(name, i) ? 0 : m))]));
    const pruned = withWeights(graph, new Map([...masks].map(([name, mask]) => [name, applyMask(values.get(name) as Float32Array, mask)])));
    let found = 0;
    for (const [name, live] of liveWeights(pruned)) {
      const mask = masks.get(name);
      const gone = dead.get(name) ?? new Uint8Array(live.length);
      mask?.forEach((m, i) => {
        if (m === 1 && live[i] === 0) {
          gone[i] = 1;
          found++;
        }
      });
      dead.set(name, gone);
    }
    if (found === 0) return masks;
  }
}

/**
 * Biases and BatchNorm's means that are 0 in place of what they are, for units that vary no more but whose constant a padded convolution reads, so that it cannot be part
 * of a bias. They are then 0 after ReLU, and can go. This changes what the net computes, a little, as pruning does.
 */
export function silencedUnits(graph: Graph): Map<string, Float32Array> {
  const channels = analyzeChannels(graph);
  const varies = channels.pinned.slice();
  for (const [value, own] of channels.units) {
    const constants = channels.constants.get(value) as Float64Array;
    own.forEach((unit, c) => {
      if (Number.isNaN(constants[c])) varies[unit] = 1;
    });
  }
  const changed = new Map<string, Float32Array>();
  const silence = (name: string, data: Float32Array, own: Int32Array) => {
    const quiet = data.map((v, c) => (varies[own[c] as number] === 1 ? v : 0));
    if (quiet.some((v, c) => v !== data[c])) changed.set(name, quiet);
  };
  for (const mix of mixesOf(channels)) if (mix.bias !== undefined) silence(mix.bias.name, mix.bias.data as Float32Array, channels.units.get(mix.y) as Int32Array);
  for (const [node, relation] of channels.relations) {
    const parameters = node.op === "BatchNormalization" ? [2, 3] : node.op === "Conv" && relation.kind === "channelwise" ? [2] : [];
    for (const index of parameters) {
      const value = node.inputs[index];
      if (value?.kind === "constant") silence(value.name, value.data as Float32Array, channels.units.get(relation.y) as Int32Array);
    }
  }
  return changed;
}
