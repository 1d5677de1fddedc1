import { type ConstantValue, type Graph, isConstant, type Node, useCounts, type Value } from "../../ir/graph.ts";
import type { WindowAttrs } from "../../ops/window.ts";
import { type Layer, weightLayers } from "../layers.ts";

/** A layer that computes y = W · x + b at many positions, whose weight can be fitted to inputs and outputs. */
export interface LinearLayer {
  readonly layer: Layer;
  readonly node: Node;
  /** Place of the node in the graph. */
  readonly index: number;
  /** Groups of a convolution, each a problem of its own. */
  readonly groups: number;
  readonly input: Value;
  readonly output: Value;
  readonly bias: ConstantValue | undefined;
  /** What follows at once and alone, and whose statistics are estimated anew. */
  readonly norm: Norm | undefined;
}

export interface Norm {
  readonly mean: ConstantValue;
  readonly variance: ConstantValue;
  readonly epsilon: number;
}

/** All layers of the net that can be fitted, in the order in which they are computed; the others are left as they are. */
export function linearLayers(graph: Graph): LinearLayer[] {
  const uses = useCounts(graph);
  const consumers = new Map<Value, Node>();
  for (const node of graph.nodes) for (const v of node.inputs) if (v !== undefined) consumers.set(v, node);
  const layers = new Map(weightLayers(graph).map((l) => [l.value as Value, l]));
  return graph.nodes.flatMap((node, index): LinearLayer[] => {
    const [input, weight, bias] = node.inputs;
    const layer = weight === undefined ? undefined : layers.get(weight);
    const output = node.outputs[0];
    if (layer === undefined || input === undefined || output === undefined || isConstant(input) || uses.get(layer.value) !== 1 || !isFitted(node, input)) return [];
    const next = uses.get(output) === 1 ? consumers.get(output) : undefined;
    const isBias = isConstant(bias) && uses.get(bias) === 1 && bias.data.length === layer.matrix.outputs && (node.op === "Conv" || node.attrs.beta === 1);
    if (bias !== undefined && !isBias) return [];
    const groups = node.op === "Conv" ? (node.attrs.group as number) : 1;
    return [{ layer, node, index, groups, input, output, bias: isBias ? bias : undefined, norm: next === undefined ? undefined : normOf(next, output) }];
  });
}

function isFitted({ op, attrs }: Node, input: Value): boolean {
  if (op === "Conv") return input.type.shape.length === 4;
  if (op === "Gemm") return attrs.alpha === 1 && attrs.transA === false;
  return op === "MatMul";
}

function normOf(node: Node, input: Value): Norm | undefined {
  const [x, , , mean, variance] = node.inputs;
  if (node.op !== "BatchNormalization" || x !== input || !isConstant(mean) || !isConstant(variance)) return undefined;
  return { mean, variance, epsilon: node.attrs.epsilon as number };
}

/** How a layer's inputs and outputs lie in its tensors: one column of X and Y for each image and position. */
export interface Columns {
  /** Positions of one row of the batch. */
  readonly positions: number;
  /** Rows of the batch for each image; 1 but for products of higher rank. */
  readonly rowsPerImage: number;
  /** Writes row `k` of X (input · taps + tap of the group) at these rows and positions, from `at` on. */
  readInput(x: Float32Array, group: number, k: number, rows: Int32Array, places: Int32Array, count: number, out: Float64Array, at: number): void;
  readOutput(y: Float32Array, channel: number, rows: Int32Array, places: Int32Array, count: number, out: Float64Array, at: number): void;
}

export function columnsOf({ layer, node, input, output }: LinearLayer, batch: number): Columns {
  const { inputs, outputs, taps } = layer.matrix;
  if (node.op !== "Conv") {
    const rows = input.type.shape.slice(0, -1).reduce((a, b) => a * b, 1);
    const read = (data: Float32Array, width: number, column: number, at: Int32Array, count: number, out: Float64Array, to: number) => {
      for (let i = 0; i < count; i++) out[to + i] = data[(at[i] as number) * width + column] as number;
    };
    return {
      positions: 1,
      rowsPerImage: rows / batch,
      readInput: (x, _group, k, at, _places, count, out, to) => read(x, inputs, k, at, count, out, to),
      readOutput: (y, channel, at, _places, count, out, to) => read(y, outputs, channel, at, count, out, to),
    };
  }
  const [, channels = 1, height = 1, width = 1] = input.type.shape;
  const [, , outHeight = 1, outWidth = 1] = output.type.shape;
  const { strides, pads, dilations } = node.attrs as unknown as WindowAttrs;
  const kernelWidth = layer.shape[3] as number;
  const positions = outHeight * outWidth;
  const plane = height * width;
  return {
    positions,
    rowsPerImage: 1,
    readInput(x, group, k, rows, places, count, out, to) {
      const tap = k % taps;
      const channel = group * inputs + (k - tap) / taps;
      const dy = Math.floor(tap / kernelWidth) * (dilations[0] as number) - (pads[0] as number);
      const dx = (tap % kernelWidth) * (dilations[1] as number) - (pads[1] as number);
      const [sy, sx] = strides as [number, number];
      for (let i = 0; i < count; i++) {
        const place = places[i] as number;
        const oy = Math.floor(place / outWidth);
        const py = oy * sy + dy;
        const px = (place - oy * outWidth) * sx + dx;
        const inside = py >= 0 && py < height && px >= 0 && px < width;
        out[to + i] = inside ? (x[((rows[i] as number) * channels + channel) * plane + py * width + px] as number) : 0;
      }
    },
    readOutput(y, channel, rows, places, count, out, to) {
      for (let i = 0; i < count; i++) out[to + i] = y[((rows[i] as number) * outputs + channel) * positions + (places[i] as number)] as number;
    },
  };
}
