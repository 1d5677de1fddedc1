import { type F32, f32, f32x4, type I32, i32, type V128, v128 } from "../codegen/wasm/code.ts";
import type { FunctionBuilder, Local } from "../codegen/wasm/function.ts";
import { filterTransform, mapSix, type Six, transpose, transposeHigh, winogradPoints } from "../kernels/winograd.ts";
import type { PrepareSpec, StoredConstant } from "../lower/kernel-graph.ts";
import { forEachNonZero } from "./non-zeros.ts";

const taps = 9;

/** [m][channel][3×3] → G g Gᵀ: [group][point][block of `filters` filters][channel][filter of the block], as f32-winograd reads them. */
export function emitWinograd(fn: FunctionBuilder, constant: StoredConstant, spec: PrepareSpec & { kind: "winograd" }, from: Local<"i32">, to: Local<"i32">): void {
  const { m, channels } = spec;
  const g = fn.locals("f32", taps);
  const row = fn.let(i32.const(0));
  const channel = fn.let(i32.const(0));
  const target = fn.local("i32");
  const channelStep = fn.local("i32");
  const pointStep = fn.local("i32");
  const startRow = () => setPlace(fn, spec, row, to, target, channelStep, pointStep);
  const finishFilter = () => {
    storeTransformed(fn, g, target, pointStep);
    fn.set(target, i32.add(target, channelStep));
    fn.set(channel, i32.add(channel, i32.const(1)));
    fn.if(i32.eq(channel, i32.const(channels)), () => {
      fn.set(channel, i32.const(0));
      fn.set(row, i32.add(row, i32.const(1)));
      startRow();
    });
  };
  if (constant.encoding.kind === "dense") {
    const done = emitBlocks(fn, spec, from, to, target, channelStep, pointStep);
    if (done === m) return;
    fn.set(row, i32.const(done));
    startRow();
    const source = fn.let(i32.add(from, i32.const(done * channels * 4 * taps)));
    fn.while(i32.ltU(row, i32.const(m)), () => {
      g.forEach((tap, t) => fn.set(tap, f32.load(source, 4 * t)));
      fn.set(source, i32.add(source, i32.const(4 * taps)));
      finishFilter();
    });
    return;
  }
  startRow();
  const end = fn.let(i32.const(taps));
  const next = () => {
    finishFilter();
    for (const tap of g) fn.set(tap, f32.const(0));
    fn.set(end, i32.add(end, i32.const(taps)));
  };
  forEachNonZero(fn, constant, from, (index, value) => {
    fn.while(i32.geU(index, end), next);
    const bits = fn.let(f32.reinterpretI32(value));
    fn.switch(
      fn.let(i32.sub(index, i32.sub(end, i32.const(taps)))),
      g.map((tap) => () => fn.set(tap, bits)),
    );
  });
  fn.while(i32.ltU(row, i32.const(m)), next);
}

/** Blocks of at least 4 filters, 4 filters at once, from a dense weight; gives the number of filters that are done. */
function emitBlocks(
  fn: FunctionBuilder,
  spec: PrepareSpec & { kind: "winograd" },
  from: I32,
  to: I32,
  target: Local<"i32">,
  channelStep: Local<"i32">,
  pointStep: Local<"i32">,
): number {
  const { m, channels, filters } = spec;
  const rest = m % filters;
  const done = filters < 4 ? 0 : rest < 4 ? m - rest : m;
  const row = fn.let(i32.const(0));
  fn.for(row, i32.const(done), filters, () => {
    setPlace(fn, spec, row, to, target, channelStep, pointStep);
    const start = fn.let(i32.const(0));
    const width = fn.let(i32.shrU(channelStep, i32.const(2)));
    // The last four filters of a block may overlap with those before.
    fn.for(start, width, 4, () => {
      const last = i32.sub(width, i32.const(4));
      const first = fn.let(i32.select(start, last, i32.ltS(start, last)));
      const source = fn.let(i32.add(from, i32.mul(i32.add(row, first), i32.const(4 * taps * channels))));
      const place = fn.let(i32.add(target, i32.shl(first, i32.const(2))));
      const left = fn.let(i32.const(channels));
      fn.doWhile(
        () => {
          storeFour(fn, source, channels, place, pointStep);
          fn.set(source, i32.add(source, i32.const(4 * taps)));
          fn.set(place, i32.add(place, channelStep));
          fn.set(left, i32.sub(left, i32.const(1)));
        },
        () => left,
      );
    });
  });
  return done;
}

/** One channel of four filters that follow one another. */
function storeFour(fn: FunctionBuilder, source: I32, channels: number, place: I32, pointStep: I32): void {
  const rows = (tap: number) => [0, 1, 2, 3].map((f) => fn.let(v128.load(source, 4 * (f * taps * channels + tap)))) as unknown as readonly [V128, V128, V128, V128];
  const g = [...transpose(fn, rows(0)), ...transpose(fn, rows(4)), transposeHigh(fn, rows(5))[1]];
  const columns = [0, 1, 2].map((j) => filterVectors(fn, g[j] as V128, g[3 + j] as V128, g[6 + j] as V128)) as unknown as readonly [Six<V128>, Six<V128>, Six<V128>];
  const to = fn.let(place);
  for (const i of [0, 1, 2, 3, 4, 5] as const)
    for (const u of filterVectors(fn, columns[0][i], columns[1][i], columns[2][i])) {
      fn.store(to, u);
      fn.set(to, i32.add(to, pointStep));
    }
}

/** G g of four filters. The rows of points p and −p differ in the sign of the middle term only. */
function filterVectors(fn: FunctionBuilder, g0: V128, g1: V128, g2: V128): Six<Local<"v128">> {
  const term = (point: number, k: number, g: V128) => f32x4.mul(f32x4.const(filterTransform[point]?.[k] as number), g);
  const pair = (point: number): readonly [V128, V128] => {
    const even = fn.let(f32x4.add(term(point, 0, g0), term(point, 2, g2)));
    const odd = fn.let(term(point, 1, g1));
    return [f32x4.add(even, odd), f32x4.sub(even, odd)];
  };
  return mapSix([term(0, 0, g0), ...pair(1), ...pair(3), g2], (v) => fn.let(v));
}

/** Where filter `row` of channel 0 goes at the first point, and how many bytes further the next channel and the next point are. */
function setPlace(
  fn: FunctionBuilder,
  { m, channels, filters, group }: PrepareSpec & { kind: "winograd" },
  row: I32,
  to: I32,
  target: Local<"i32">,
  channelStep: Local<"i32">,
  pointStep: Local<"i32">,
): void {
  const least = (a: I32, b: number) => {
    const l = fn.let(a);
    return fn.let(i32.select(l, i32.const(b), i32.ltU(l, i32.const(b))));
  };
  const first = fn.let(i32.mul(i32.divU(row, i32.const(group)), i32.const(group)));
  const inGroup = least(i32.sub(i32.const(m), first), group);
  const within = fn.let(i32.sub(row, first));
  const block = fn.let(i32.mul(i32.divU(within, i32.const(filters)), i32.const(filters)));
  const width = least(i32.sub(inGroup, block), filters);
  const place = i32.add(i32.add(i32.mul(first, i32.const(winogradPoints * channels)), i32.mul(block, i32.const(channels))), i32.sub(within, block));
  fn.set(target, i32.add(to, i32.shl(place, i32.const(2))));
  fn.set(channelStep, i32.shl(width, i32.const(2)));
  fn.set(pointStep, i32.mul(inGroup, i32.const(4 * channels)));
}

function storeTransformed(fn: FunctionBuilder, g: readonly Local<"f32">[], target: I32, pointStep: I32): void {
  const dot = (coefficients: readonly number[], values: readonly F32[]): F32 =>
    coefficients
      .map((c, i) => (c === 0 ? undefined : c === 1 ? values[i] : f32.mul(f32.const(c), values[i] as F32)))
      .reduce((a, b) => (a === undefined ? b : b === undefined ? a : f32.add(a, b))) as F32;
  const to = fn.let(target);
  for (const u of filterTransform) {
    const column = [0, 1, 2].map((j) => fn.let(dot(u, [g[j] as F32, g[3 + j] as F32, g[6 + j] as F32])));
    for (const v of filterTransform) {
      fn.storeF32(to, dot(v, column));
      fn.set(to, i32.add(to, pointStep));
    }
  }
}
