import { e } from "../../../ir/expr.ts";
import type { Attrs } from "../../../ir/graph.ts";
import type { Converter, Converters, OnnxNode } from "./converter.ts";

interface Window {
  readonly kernel: number[];
  readonly strides: number[];
  readonly dilations: number[];
  readonly pads: number[];
}

/** kernel_shape, strides, dilations and pads of a convolution or pooling, auto_pad resolved. `kernel` is what the weight says. */
function windowOf(n: OnnxNode, kernel = n.ints("kernel_shape")): Window {
  const size = n.typeOf(0).shape.slice(2);
  if (kernel === undefined || kernel.length !== size.length)
    throw n.error("E_SHAPE_MISMATCH", `kernel [${kernel?.join(", ") ?? ""}] does not match the input [${n.typeOf(0).shape.join(", ")}]`, "Inputs are laid out [N, C, spatial …].");
  const ones = size.map(() => 1);
  const strides = n.ints("strides") ?? ones;
  const dilations = n.ints("dilations") ?? ones;
  const pads = n.ints("pads") ?? size.flatMap(() => [0, 0]);
  if (strides.length !== size.length || dilations.length !== size.length || pads.length !== 2 * size.length)
    throw n.error(
      "E_INVALID_ATTRIBUTE",
      `strides [${strides.join(", ")}], dilations [${dilations.join(", ")}] or pads [${pads.join(", ")}] do not fit ${size.length} dimensions`,
      "Export the net again.",
    );
  if ([...strides, ...dilations, ...kernel].some((v) => v < 1)) throw n.error("E_INVALID_ATTRIBUTE", "kernel, strides and dilations must be at least 1", "Export the net again.");
  return { kernel, strides, pads: autoPads(n, size, { kernel, strides, dilations, pads }), dilations };
}

/** SAME pads such that there are ⌈size / stride⌉ outputs, the odd one at the end (UPPER) or at the beginning (LOWER). */
function autoPads(n: OnnxNode, size: readonly number[], { kernel, strides, dilations, pads }: Window): number[] {
  const auto = n.string("auto_pad", "NOTSET");
  if (auto === "NOTSET" || auto === "") return pads;
  if (auto === "VALID") return pads.map(() => 0);
  if (auto !== "SAME_UPPER" && auto !== "SAME_LOWER") throw n.error("E_INVALID_ATTRIBUTE", `auto_pad is ${auto}`, "It must be NOTSET, SAME_UPPER, SAME_LOWER or VALID.");
  const total = size.map((d, i) => {
    const [k = 1, s = 1, dilation = 1] = [kernel[i], strides[i], dilations[i]];
    return Math.max(0, (Math.ceil(d / s) - 1) * s + (k - 1) * dilation + 1 - d);
  });
  const small = total.map((t) => Math.floor(t / 2));
  const large = total.map((t) => Math.ceil(t / 2));
  return auto === "SAME_UPPER" ? [...small, ...large] : [...large, ...small];
}

const conv: Converter = (n) => {
  const { strides, dilations, pads } = windowOf(n, n.typeOf(1).shape.slice(2));
  return n.emit("Conv", [n.input(0), n.input(1), n.inputs[2]], { strides, pads, dilations, group: n.int("group", 1) });
};

/** `output_shape` and SAME pads are turned into pads; where even none would give too little, into output padding. */
const convTranspose: Converter = (n) => {
  const size = n.typeOf(0).shape.slice(2);
  const kernel = n.typeOf(1).shape.slice(2);
  const ones = size.map(() => 1);
  const strides = n.ints("strides") ?? ones;
  const dilations = n.ints("dilations") ?? ones;
  const outputPadding = n.ints("output_padding") ?? size.map(() => 0);
  const auto = n.string("auto_pad", "NOTSET");
  const same = auto.startsWith("SAME");
  const wanted = n.ints("output_shape")?.slice(-size.length) ?? (same ? size.map((d, i) => d * (strides[i] as number)) : undefined);
  let pads = auto === "VALID" ? size.flatMap(() => [0, 0]) : (n.ints("pads") ?? size.flatMap(() => [0, 0]));
  if (wanted !== undefined) {
    const total = size.map(
      (d, i) => (strides[i] as number) * (d - 1) + (outputPadding[i] as number) + ((kernel[i] as number) - 1) * (dilations[i] as number) + 1 - (wanted[i] as number),
    );
    total.forEach((t, i) => {
      if (t < 0) outputPadding[i] = (outputPadding[i] as number) - t;
    });
    const small = total.map((t) => Math.floor(Math.max(t, 0) / 2));
    const large = total.map((t) => Math.ceil(Math.max(t, 0) / 2));
    pads = auto === "SAME_UPPER" ? [...small, ...large] : [...large, ...small];
  }
  return n.emit("ConvTranspose", [n.input(0), n.input(1), n.inputs[2]], { strides, pads, dilations, group: n.int("group", 1), outputPadding });
};

const poolAttrs = (n: OnnxNode): Attrs => ({ ...windowOf(n), ceilMode: n.int("ceil_mode", 0) === 1 && n.string("auto_pad", "NOTSET") === "NOTSET" });

const maxPool: Converter = (n) => {
  if (!n.wants(1)) return n.emit("MaxPool", [n.input(0)], poolAttrs(n));
  const attrs = { ...poolAttrs(n), withIndices: true };
  if (n.int("storage_order", 0) === 0) return n.emitMany("MaxPool", [n.input(0)], attrs);
  const [, , height = 1, width = 1, ...more] = n.typeOf(0).shape;
  if (more.length > 0) throw n.error("E_UNSUPPORTED_OP", "MaxPool with column-major indices is supported for 2 dimensions only", "Export with storage_order = 0.");
  const [y, indices] = n.emitMany("MaxPool", [n.input(0)], attrs);
  // Plane p, row r, column c: p · H · W + r · W + c becomes p · H · W + c · H + r.
  const plane = e.mul(e.floor(e.div(e.input(0), height * width)), height * width);
  const inPlane = e.sub(e.input(0), plane);
  const row = e.floor(e.div(inPlane, width));
  const expr = e.add(plane, e.add(e.mul(e.sub(inPlane, e.mul(row, width)), height), row));
  return [y, n.step("Map", [indices], { expr, dtype: "int64" })];
};

const averagePool: Converter = (n) => n.emit("AveragePool", [n.input(0)], { ...poolAttrs(n), countIncludePad: n.int("count_include_pad", 0) === 1 });

export const windows: Converters = {
  Conv: conv,
  ConvTranspose: convTranspose,
  MaxPool: maxPool,
  AveragePool: averagePool,
  GlobalAveragePool: (n) => n.emit("GlobalAveragePool", [n.input(0)]),
  GlobalMaxPool: (n) => n.emit("GlobalMaxPool", [n.input(0)]),
};
