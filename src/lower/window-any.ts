import { type Activation, activationExpr, noActivation } from "../ir/activation.ts";
import { type Expr, e, substitute } from "../ir/expr.ts";
import type { Node, Value } from "../ir/graph.ts";
import { elementCount } from "../ir/types.ts";
import { type NestDim, sortDims } from "../kernels/nest.ts";
import { f32Arg } from "../kernels/wasm/f32-arg.ts";
import type { LoweringContext, Placed } from "./context.ts";
import type { Place } from "./kernel-graph.ts";
import { linear } from "./layout.ts";
import { fill } from "./movement.ts";
import { alongAxis, here, mapStrided, reduceStrided, type Strided, there } from "./strided.ts";

/** Windows over any number of dimensions, as reductions over strided views of padded planes: always right, never fast. */
interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly pads: readonly number[];
}

const windowOf = (node: Node, kernel: readonly number[]): Window => ({
  kernel,
  strides: node.attrs.strides as readonly number[],
  dilations: node.attrs.dilations as readonly number[],
  pads: node.attrs.pads as readonly number[],
});

/** The input with all the padding that windows reach, row-major. */
function padded(ctx: LoweringContext, x: Value, { kernel, strides, dilations, pads }: Window, output: readonly number[], value: number): Placed {
  const plain = ctx.read(x, linear(x.type.shape));
  const size = x.type.shape.slice(2);
  const begin = size.map((_, i) => pads[i] as number);
  const reach = size.map((_, i) => ((output[i + 2] as number) - 1) * (strides[i] as number) + ((kernel[i] as number) - 1) * (dilations[i] as number) + 1);
  const total = size.map((d, i) => Math.max((begin[i] as number) + d, reach[i] as number));
  if (total.every((t, i) => t === size[i])) return plain;
  const layout = linear([...x.type.shape.slice(0, 2), ...total]);
  const placed = { buffer: ctx.buffer(`${x.name}+`, layout.size), offset: 0, layout };
  fill(ctx, [layout.size], { ...placed, layout: linear([layout.size]) }, value);
  const corner = begin.reduce((sum, b, i) => sum + b * (layout.strides[i + 2] as number), 0);
  ctx.copyInto(x.type.shape, plain, { ...placed, offset: corner }, false);
  return placed;
}

/** How far the next window, and the next tap of a window, lie apart in each dimension. */
const steps = (strides: readonly number[], by: readonly number[]): number[] => by.map((s, i) => s * (strides[i + 2] as number));

export function lowerAnyConv(ctx: LoweringContext, node: Node): void {
  const [x, w, b, residual] = node.inputs as [Value, Value, Value | undefined, Value | undefined];
  const y = node.outputs[0] as Value;
  const [m, perGroup, ...kernel] = w.type.shape as [number, number, ...number[]];
  const group = node.attrs.group as number;
  const window = windowOf(node, kernel);
  const source = padded(ctx, x, window, y.type.shape, 0);
  const [xn, xc] = source.layout.strides as [number, number];
  const weights = here(ctx, w);
  const [wm, wc, ...wk] = weights.strides as [number, number, ...number[]];
  const output = there(ctx, y);
  const [yn, yc, ...ys] = output.strides as [number, number, ...number[]];
  const [n, , ...out] = y.type.shape as [number, number, ...number[]];
  const none = kernel.map(() => 0);
  const shape = [n, m / group, ...out, perGroup, ...kernel];
  const axes = shape.map((_, i) => i).slice(2 + out.length);
  const xStrides = [xn, 0, ...steps(source.layout.strides, window.strides), xc, ...steps(source.layout.strides, window.dilations)];
  const product = { kind: "sum", before: e.mul(e.input(0), e.input(1)), after: e.input(0) } as const;
  const shifted = ({ buffer, offset }: Place, elements: number): Place => ({ buffer, offset: offset + elements });
  for (let g = 0; g < group; g++) {
    const inputs: Strided[] = [
      { place: shifted(source, g * perGroup * xc), strides: xStrides },
      { place: shifted(weights.place, (g * m * wm) / group), strides: [0, wm, ...none, wc, ...wk] },
    ];
    const target = { place: shifted(output.place, (g * m * yc) / group), strides: [yn, yc, ...ys, 0, ...none] };
    reduceStrided(ctx, shape, axes, product, inputs, target, elementCount(shape));
  }
  const terms = [output, ...(b === undefined ? [] : [alongAxis(ctx.readAny(b), y.type.shape, 1)]), ...(residual === undefined ? [] : [here(ctx, residual)])];
  const activation = (node.attrs.activation as Activation | undefined) ?? noActivation;
  const sum = terms.slice(1).reduce((total: Expr, _, i) => e.add(total, e.input(i + 1)), e.input(0));
  if (terms.length > 1 || activation.kind !== "none") mapStrided(ctx, y.type.shape, substitute(activationExpr(activation), [sum]), terms, output);
}

/** Pooling; `scale` is a factor of sums. */
export function lowerAnyPool(ctx: LoweringContext, node: Node, scale: number): void {
  const y = node.outputs[0] as Value;
  const { input, shape } = slide(ctx, node);
  const axes = shape.map((_, i) => i).slice(y.type.shape.length);
  const output = there(ctx, y);
  const target = { place: output.place, strides: [...output.strides, ...axes.map(() => 0)] };
  const after = scale === 1 ? e.input(0) : e.mul(e.input(0), scale);
  reduceStrided(ctx, shape, axes, { kind: node.op === "MaxPool" ? "max" : "sum", before: e.input(0), after }, [input], target);
}

/** The second output of MaxPool: where in the whole input each largest element is. */
export function lowerPoolIndices(ctx: LoweringContext, node: Node): void {
  const [x, y] = [node.inputs[0], node.outputs[1]] as [Value, Value];
  const { input, shape, window } = slide(ctx, node);
  const output = there(ctx, y);
  const inside = linear(x.type.shape).strides;
  const positions = [...inside.slice(0, 2), ...steps(inside, window.strides), ...steps(inside, window.dilations)];
  const dims = shape.map((size, i): NestDim => ({ size, strides: [input.strides[i] as number, positions[i] as number, output.strides[i] ?? 0] }));
  const rank = y.type.shape.length;
  const origin = -steps(inside, window.pads.slice(0, rank - 2)).reduce((a, b) => a + b, 0);
  const problem = { kept: sortDims(dims.slice(0, rank)), reduced: dims.slice(rank), kind: "max", last: false, integer: false, origin } as const;
  ctx.call(f32Arg, problem, [input.place, output.place]);
}

/** The input of a pooling along [n, c, out…, kernel…]. */
function slide(ctx: LoweringContext, node: Node): { readonly input: Strided; readonly shape: readonly number[]; readonly window: Window } {
  const [x, y] = [node.inputs[0], node.outputs[0]] as [Value, Value];
  const window = windowOf(node, node.attrs.kernel as readonly number[]);
  const source = padded(ctx, x, window, y.type.shape, node.op === "MaxPool" ? Number.NEGATIVE_INFINITY : 0);
  const { strides } = source.layout;
  const input = { place: source, strides: [...strides.slice(0, 2), ...steps(strides, window.strides), ...steps(strides, window.dilations)] };
  return { input, shape: [...y.type.shape, ...window.kernel], window };
}
