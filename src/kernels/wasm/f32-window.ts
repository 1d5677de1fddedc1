import { f32x4, i32, type V128, v128 } from "../../codegen/wasm/code.ts";
import type { Local } from "../../codegen/wasm/function.ts";
import type { Activation } from "../../ir/activation.ts";
import { defineKernel, type EmitContext } from "../kernel.ts";
import { type Region, registersOf, setTileOffsets, type Tile, tileFits, tilesOf, vectorOffsets } from "../region.ts";
import { emitActivation, madd } from "../vector-math.ts";

/**
 * y[c, p] = act(bias[c] + Σ_t w[c, t] · x[c, p + tap t] + residual[c, p]) (depthwise convolution), max_t x[c, p + tap t] (max pooling, NaN wins),
 * or scale · Σ_t x[c, p + tap t] (sum pooling). Each loaded vector serves all output rows of the tile that need it.
 */
export interface WindowProblem {
  readonly kind: "depthwise" | "max" | "sum";
  readonly channels: number;
  /** Input planes a channel of output apart; output planes apart. */
  readonly inStride: number;
  readonly outStride: number;
  readonly taps: readonly number[];
  /** `inPitch` is the distance of the input rows that neighbouring output rows start at: the plane's pitch times the vertical stride. */
  readonly region: Region;
  /** Horizontal stride, 1 or 2. */
  readonly columnStep: 1 | 2;
  /** Factor of sum pooling. */
  readonly scale: number;
  /** Depthwise: output channels for each input channel. */
  readonly multiplier: number;
  readonly bias: boolean;
  readonly residual: boolean;
  readonly activation: Activation;
}

export interface WindowChoice {
  readonly tile: Tile;
}

export const f32Window = defineKernel<WindowProblem, WindowChoice>({
  name: "f32-window",
  backend: "wasm",
  operands: (p) => ["x", ...(p.kind === "depthwise" ? ["w"] : []), ...(p.bias ? ["bias"] : []), ...(p.residual ? ["residual"] : []), "y"],
  choices: (p) => tileCandidates.filter((tile) => tileFits(p.region, tile)).map((tile) => ({ tile })),
  cost(p, { tile }, target) {
    const loads = new Set(loadPlan(p, tile).map((l) => l.offset)).size;
    const vectors = registersOf(tile, target);
    const perVector = vectors / (tile.rows * tile.vectors);
    const resident = p.kind === "depthwise" ? p.taps.length : 0;
    // An engine that places loads first lets as many loads run ahead as there are more of them than links in each accumulator's chain.
    const ahead = target.loadsFirst ? Math.max(1, loads - p.taps.length) : 1;
    const spill = Math.max(0, resident + vectors + ahead - target.vectorRegisters);
    const perTile = loads * perVector * (p.columnStep === 1 ? 0.5 : 1.2) + vectors * p.taps.length * 0.5 + vectors * 2 + spill * vectors * 0.5 + 10;
    return p.channels * (tilesOf(p.region, tile).count * perTile + 20);
  },
  sharesLoads: (_, { tile }) => tile.rows > 1,
  items: (p) => p.channels,
  emit(context, p, { tile }) {
    const { fn, operand, begin, end } = context;
    const channel = fn.let(begin);
    const w = p.kind === "depthwise" ? fn.let(i32.add(operand("w"), i32.mul(begin, i32.const(4 * p.taps.length)))) : undefined;
    const inBase = fn.local("i32");
    const outPlane = fn.let(i32.mul(begin, i32.const(4 * p.outStride)));
    const weights = w === undefined ? [] : fn.locals("v128", p.taps.length);
    const bias = fn.local("v128");
    const index = fn.local("i32");
    const inOffset = fn.local("i32");
    const outOffset = fn.local("i32");
    fn.for(channel, end, 1, () => {
      const source = p.multiplier === 1 ? channel : i32.divU(channel, i32.const(p.multiplier));
      fn.set(inBase, i32.add(operand("x"), i32.mul(source, i32.const(4 * p.inStride))));
      if (w !== undefined) {
        weights.forEach((l, t) => fn.set(l, v128.load32Splat(w, 4 * t)));
        fn.set(w, i32.add(w, i32.const(4 * p.taps.length)));
      }
      if (p.bias) fn.set(bias, v128.load32Splat(i32.add(operand("bias"), i32.shl(channel, i32.const(2)))));
      fn.set(index, i32.const(0));
      fn.for(index, i32.const(tilesOf(p.region, tile).count), 1, () => {
        setTileOffsets(fn, p.region, tile, index, inOffset, outOffset, p.columnStep);
        fn.set(inOffset, i32.add(inOffset, inBase));
        fn.set(outOffset, i32.add(outOffset, outPlane));
        emitTile(context, p, tile, weights, bias, inOffset, outOffset);
      });
      fn.set(outPlane, i32.add(outPlane, i32.const(4 * p.outStride)));
    });
  },
});

const tileCandidates: readonly Tile[] = [
  { rows: 4, vectors: 1 },
  { rows: 2, vectors: 2 },
  { rows: 2, vectors: 1 },
  { rows: 3, vectors: 1 },
  { rows: 1, vectors: 2 },
  { rows: 1, vectors: 1 },
  { rows: 4, vectors: 2 },
  { rows: 7, vectors: 1 },
];

/** Which vector of the tile wants which tap from which place, sorted so that equal places are neighbours. */
function loadPlan(p: WindowProblem, tile: Tile): { readonly offset: number; readonly vector: number; readonly tap: number }[] {
  const vectors = vectorOffsets(tile, p.region.inPitch, p.columnStep);
  const plan = vectors.flatMap((base, vector) => p.taps.map((tapOffset, tap) => ({ offset: base + 4 * tapOffset, vector, tap })));
  return plan.sort((a, b) => a.offset - b.offset || a.vector - b.vector || a.tap - b.tap);
}

function emitTile(
  context: EmitContext,
  p: WindowProblem,
  tile: Tile,
  weights: readonly Local<"v128">[],
  bias: Local<"v128">,
  inAddress: Local<"i32">,
  outOffset: Local<"i32">,
): void {
  const { fn, target, operand } = context;
  const acc = fn.locals("v128", tile.rows * tile.vectors);
  const started = new Set<number>();
  if (p.kind === "depthwise") {
    for (const a of acc) fn.set(a, p.bias ? bias : f32x4.const(0));
    acc.forEach((_, i) => started.add(i));
  }
  const combine = (a: Local<"v128">, x: V128, tap: number): V128 =>
    p.kind === "depthwise" ? madd(target, x, weights[tap] as V128, a) : p.kind === "max" ? f32x4.max(a, x) : f32x4.add(a, x);
  const loaded = fn.local("v128");
  const low = fn.local("v128");
  const high = fn.local("v128");
  let at: number | undefined;
  let pair: number | undefined;
  for (const { offset, vector, tap } of loadPlan(p, tile)) {
    if (offset !== at && p.columnStep === 1) fn.set(loaded, v128.load(inAddress, offset));
    else if (offset !== at && pair !== undefined && offset === pair + 4) fn.set(loaded, v128.shuffle(low, high, [1, 3, 5, 7]));
    else if (offset !== at) {
      fn.set(low, v128.load(inAddress, offset));
      fn.set(high, v128.load(inAddress, offset + 16));
      fn.set(loaded, v128.shuffle(low, high, [0, 2, 4, 6]));
      pair = offset;
    }
    at = offset;
    const a = acc[vector] as Local<"v128">;
    fn.set(a, started.has(vector) ? combine(a, loaded, tap) : loaded);
    started.add(vector);
  }
  const offsets = vectorOffsets(tile, p.region.outPitch);
  if (p.kind === "sum" && p.scale !== 1) for (const a of acc) fn.set(a, f32x4.mul(a, f32x4.const(p.scale)));
  if (p.residual) {
    const residual = fn.let(i32.add(operand("residual"), outOffset));
    acc.forEach((a, i) => fn.set(a, f32x4.add(a, v128.load(residual, offsets[i] as number))));
  }
  for (const a of acc) emitActivation(fn, target, p.activation, a);
  const y = fn.let(i32.add(operand("y"), outOffset));
  acc.forEach((a, i) => fn.store(y, a, offsets[i] as number));
}
