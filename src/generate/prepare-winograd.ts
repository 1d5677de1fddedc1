import { type F32, f32, f32x4, type I32, i32, type V128, v128 } from "../codegen/wasm/code.ts";
import type { FunctionBuilder, FunctionRef, Local } from "../codegen/wasm/function.ts";
import { i32Params, type ModuleBuilder } from "../codegen/wasm/module.ts";
import { filterTransform, type TileSide, tapsOf, transpose, transposeHigh, type WinogradFilters, type WinogradTaps } from "../kernels/winograd.ts";

interface Filters {
  readonly from: Local<"i32">;
  readonly to: Local<"i32">;
  readonly m: Local<"i32">;
  /** A phase is one. */
  readonly channels: Local<"i32">;
  /** Filters a block. */
  readonly filters: Local<"i32">;
  /** Filters a group. */
  readonly group: Local<"i32">;
}

/** Where a filter of channel 0 goes at the first point, and how many bytes further the next channel and the next point are. */
interface Target {
  readonly at: Local<"i32">;
  readonly channelStep: Local<"i32">;
  readonly pointStep: Local<"i32">;
}

/**
 * winograd(from, to, m, channels, filters, group): [m][channel][kernel × kernel] → G g Gᵀ: [group][point][block of `filters` filters][channel and phase][filter of the block], as
 * f32-winograd reads them.
 */
export function emitWinograd(builder: ModuleBuilder, shape: WinogradFilters): FunctionRef {
  const { kernel, stride, side } = shape;
  return builder.function(i32Params(6), (fn, ...params) => {
    const [from, to, m, channels, filters, group] = params as [Local<"i32">, Local<"i32">, Local<"i32">, Local<"i32">, Local<"i32">, Local<"i32">];
    const row = fn.let(i32.const(0));
    const target: Target = { at: fn.local("i32"), channelStep: fn.local("i32"), pointStep: fn.local("i32") };
    const width = fn.local("i32");
    const filterStride = fn.let(i32.mul(channels, i32.const(filterBytes(shape))));
    const outChannels = stride === 1 ? channels : fn.let(i32.mul(channels, i32.const(stride ** 2)));
    fn.while(i32.ltU(row, m), () => {
      setTarget(fn, { from, to, m, channels: outChannels, filters, group }, side ** 2, row, target);
      fn.set(width, i32.shrU(target.channelStep, i32.const(2)));
      const source = fn.let(i32.add(from, i32.mul(row, filterStride)));
      const each = () => transformEach(fn, shape, source, width, channels, filterStride, target);
      if (kernel === 3 && stride === 1) fn.if(i32.ltU(width, i32.const(4)), each, () => transformFours(fn, shape, source, width, channels, filterStride, target));
      else each();
      fn.set(row, i32.add(row, width));
    });
  });
}

/** Of one channel of a filter. */
const filterBytes = ({ kernel }: WinogradFilters): number => 4 * kernel ** 2;

/** A block of filters, one after the other. */
function transformEach(fn: FunctionBuilder, shape: WinogradFilters, from: I32, width: I32, channels: I32, filterStride: I32, target: Target): void {
  const taps = tapsOf(shape) as WinogradTaps;
  const transform = filterTransform(taps, shape.side);
  const g = fn.locals("f32", taps ** 2);
  const first = fn.let(i32.const(0));
  fn.for(first, width, 1, () => {
    const source = fn.let(i32.add(from, i32.mul(first, filterStride)));
    forEachChannel(fn, shape, [source], channels, first, target, (place) =>
      forEachPhase(fn, shape, taps, g, source, () => {
        storeTransformed(fn, transform, g, place, target.pointStep);
        fn.set(place, i32.add(place, target.channelStep));
      }),
    );
  });
}

/** Sets the taps of each phase of the filter at `source`. */
function forEachPhase(fn: FunctionBuilder, { kernel, stride }: WinogradFilters, taps: number, g: readonly Local<"f32">[], source: I32, body: () => void): void {
  if (stride === 1) {
    g.forEach((tap, t) => fn.set(tap, f32.load(source, 4 * t)));
    return body();
  }
  /** Phases whose last tap is in the filter. */
  const full = i32.const(kernel - stride * (taps - 1));
  const [y, x] = [fn.let(i32.const(0)), fn.let(i32.const(0))];
  fn.for(y, i32.const(stride), 1, () => {
    fn.set(x, i32.const(0));
    fn.for(x, i32.const(stride), 1, () => {
      const at = fn.let(i32.add(source, i32.shl(i32.add(i32.mul(y, i32.const(kernel)), x), i32.const(2))));
      const rowFull = fn.let(i32.ltU(y, full));
      const columnFull = fn.let(i32.ltU(x, full));
      g.forEach((tap, t) => {
        const [u, v] = [Math.floor(t / taps), t % taps];
        const [lastRow, lastColumn] = [u === taps - 1, v === taps - 1];
        const inside = lastRow && lastColumn ? i32.and(rowFull, columnFull) : lastRow ? rowFull : lastColumn ? columnFull : undefined;
        const offset = 4 * stride * (u * kernel + v);
        if (inside === undefined) return fn.set(tap, f32.load(at, offset));
        fn.set(tap, f32.select(f32.load(i32.select(at, source, inside), offset), f32.const(0), inside));
      });
      body();
    });
  });
}

/** A block of at least 4 filters, 4 at once. The last four may overlap with those before. */
function transformFours(fn: FunctionBuilder, shape: WinogradFilters, from: I32, width: I32, channels: I32, filterStride: I32, target: Target): void {
  const start = fn.let(i32.const(0));
  fn.for(start, width, 4, () => {
    const last = i32.sub(width, i32.const(4));
    const first = fn.let(i32.select(start, last, i32.ltS(start, last)));
    const sources = [fn.let(i32.add(from, i32.mul(first, filterStride)))];
    for (let f = 1; f < 4; f++) sources.push(fn.let(i32.add(sources[f - 1] as I32, filterStride)));
    forEachChannel(fn, shape, sources, channels, first, target, (place) => {
      storeFour(fn, shape.side, sources, place, target.pointStep);
      fn.set(place, i32.add(place, target.channelStep));
    });
  });
}

/** Walks the channels of filters that follow one another, the first of which is number `first` of its block; `body` moves the place on. */
function forEachChannel(
  fn: FunctionBuilder,
  shape: WinogradFilters,
  sources: readonly Local<"i32">[],
  channels: I32,
  first: I32,
  { at }: Target,
  body: (place: Local<"i32">) => void,
): void {
  const place = fn.let(i32.add(at, i32.shl(first, i32.const(2))));
  const left = fn.let(channels);
  fn.doWhile(
    () => {
      body(place);
      for (const source of sources) fn.set(source, i32.add(source, i32.const(filterBytes(shape))));
      fn.set(left, i32.sub(left, i32.const(1)));
    },
    () => left,
  );
}

/** One channel of four filters of 3×3 taps. */
function storeFour(fn: FunctionBuilder, side: TileSide, sources: readonly I32[], place: I32, pointStep: I32): void {
  const rows = (tap: number) => sources.map((source) => fn.let(v128.load(source, 4 * tap))) as unknown as readonly [V128, V128, V128, V128];
  const g = [...transpose(fn, rows(0)), ...transpose(fn, rows(4)), transposeHigh(fn, rows(5))[1]];
  const columns = [0, 1, 2].map((j) => filterVectors(fn, side, g[j] as V128, g[3 + j] as V128, g[6 + j] as V128));
  const to = fn.let(place);
  for (let i = 0; i < side; i++) {
    const [u0, u1, u2] = columns.map((column) => column[i] as V128) as [V128, V128, V128];
    for (const u of filterVectors(fn, side, u0, u1, u2)) {
      fn.store(to, u);
      fn.set(to, i32.add(to, pointStep));
    }
  }
}

/** G g of four filters. The rows of points p and −p, which are neighbours, differ in the sign of the middle term only. */
function filterVectors(fn: FunctionBuilder, side: TileSide, g0: V128, g1: V128, g2: V128): Local<"v128">[] {
  const transform = filterTransform(3, side);
  const term = (point: number, k: number, g: V128) => f32x4.mul(f32x4.const(transform[point]?.[k] as number), g);
  const pair = (point: number): readonly [V128, V128] => {
    const even = fn.let(f32x4.add(term(point, 0, g0), term(point, 2, g2)));
    const odd = fn.let(term(point, 1, g1));
    return [f32x4.add(even, odd), f32x4.sub(even, odd)];
  };
  return [term(0, 0, g0), ...pair(1), ...(side === 6 ? pair(3) : []), g2].map((v) => fn.let(v));
}

function setTarget(fn: FunctionBuilder, { to, m, channels, filters, group }: Filters, points: number, row: I32, { at, channelStep, pointStep }: Target): void {
  const least = (a: I32, b: I32) => {
    const l = fn.let(a);
    return fn.let(i32.select(l, b, i32.ltU(l, b)));
  };
  const first = fn.let(i32.mul(i32.divU(row, group), group));
  const inGroup = least(i32.sub(m, first), group);
  const within = fn.let(i32.sub(row, first));
  const block = fn.let(i32.mul(i32.divU(within, filters), filters));
  const width = least(i32.sub(inGroup, block), filters);
  const place = i32.add(i32.mul(i32.add(i32.mul(first, i32.const(points)), block), channels), i32.sub(within, block));
  fn.set(at, i32.add(to, i32.shl(place, i32.const(2))));
  fn.set(channelStep, i32.shl(width, i32.const(2)));
  fn.set(pointStep, i32.mul(inGroup, i32.shl(channels, i32.const(2))));
}

function storeTransformed(fn: FunctionBuilder, transform: readonly (readonly number[])[], g: readonly Local<"f32">[], target: I32, pointStep: I32): void {
  const dot = (coefficients: readonly number[], values: readonly F32[]): F32 =>
    coefficients
      .map((c, i) => (c === 0 ? undefined : c === 1 ? values[i] : f32.mul(f32.const(c), values[i] as F32)))
      .reduce((a, b) => (a === undefined ? b : b === undefined ? a : f32.add(a, b))) as F32;
  const to = fn.let(target);
  const taps = Math.sqrt(g.length);
  const indices = Array.from({ length: taps }, (_, i) => i);
  for (const u of transform) {
    const column = indices.map((j) =>
      fn.let(
        dot(
          u,
          indices.map((i) => g[i * taps + j] as F32),
        ),
      ),
    );
    for (const v of transform) {
      fn.storeF32(to, dot(v, column));
      fn.set(to, i32.add(to, pointStep));
    }
  }
}
