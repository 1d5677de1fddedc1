import type { Graph } from "../../ir/graph.ts";
import type { MakeStepper } from "../../train/stepper.ts";
import { fromMatrix, toMatrix } from "../layers.ts";
import { type CalibrationImages, imageBatches } from "./activations.ts";
import type { LinearLayer } from "./targets.ts";

/** Images that tell enough of the energy of inputs. */
const mostImages = 64;

/**
 * Of each layer's weights what they add to its outputs, |w| · √E x², by name: what layers of a budget are compared by. Weights alone would not
 * tell, as inputs differ in size, and all the more where BatchNorm was folded. `graph` is the dense net with a small batch.
 */
export async function contributions(
  graph: Graph,
  targets: readonly LinearLayer[],
  images: CalibrationImages,
  makeStepper: MakeStepper,
): Promise<ReadonlyMap<string, Float32Array>> {
  const batch = graph.inputs[0]?.type.shape[0] ?? 1;
  const inputs = new Map(targets.map((t) => [t.input.name, t.input]));
  const energies = new Map(targets.map(({ input, layer, groups }) => [input.name, new Float64Array(layer.matrix.inputs * groups)]));
  const fed = new Set(graph.inputs.map((v) => v.name));
  const computed = [...inputs.values()].filter((v) => !fed.has(v.name));
  const some = { ...images, count: Math.min(images.count, Math.ceil(mostImages / batch) * batch) };
  const stepper = await makeStepper({ ...graph, outputs: computed.map((value) => ({ name: value.name, value })), updates: [] });
  try {
    for (const feeds of await imageBatches(graph, some, batch)) {
      const results = await stepper.run(Object.fromEntries(feeds));
      for (const [name, sums] of energies) addEnergies((feeds.get(name) ?? results[name]) as Float32Array, inputs.get(name)?.type.shape ?? [], sums);
    }
  } finally {
    await stepper.dispose();
  }
  return new Map(
    targets.map(({ layer, groups, input }) => {
      const { matrix } = layer;
      const { inputs: channels, taps, outputs } = matrix;
      const sums = energies.get(input.name) as Float64Array;
      const weights = toMatrix(layer.value.data as Float32Array, matrix);
      const perGroup = outputs / groups;
      const scaled = weights.map((w, i) => {
        const output = Math.floor(i / (channels * taps));
        const channel = Math.floor(output / perGroup) * channels + (Math.floor(i / taps) % channels);
        return Math.abs(w) * Math.sqrt(sums[channel] as number);
      });
      return [layer.name, fromMatrix(scaled, matrix)];
    }),
  );
}

/** Adds the squares of each channel: the second dimension of images, the last one of matrices. */
function addEnergies(values: Float32Array, shape: readonly number[], sums: Float64Array): void {
  const plane = shape.length === 4 ? (shape[2] as number) * (shape[3] as number) : 1;
  for (let at = 0, channel = 0; at < values.length; channel = channel + 1 === sums.length ? 0 : channel + 1) {
    let sum = 0;
    for (const end = at + plane; at < end; at++) sum += (values[at] as number) ** 2;
    sums[channel] = (sums[channel] as number) + sum;
  }
}
