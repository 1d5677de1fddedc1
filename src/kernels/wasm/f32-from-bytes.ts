import { f32x4, type I32, i32, type V128, v128 } from "../../codegen/wasm/code.ts";
import type { Local } from "../../codegen/wasm/function.ts";
import { defineKernel, type EmitContext } from "../kernel.ts";
import { madd } from "../vector-math.ts";

/**
 * y[n, p, i, j] = gain[p] · x[n, i, j, channel of p] + shift[p], x being unsigned bytes: images with interleaved channels become planes of
 * floats. Every `step`-th pixel of a row is read, so that planes can be written phase by phase.
 */
export interface FromBytesProblem {
  readonly images: number;
  /** Of the output. */
  readonly rows: number;
  readonly columns: number;
  /** Bytes from one image to the next, from one output row's pixels to the next one's, from one output pixel's to the next one's. */
  readonly imageBytes: number;
  readonly rowBytes: number;
  readonly pixelBytes: number;
  /** Elements from one image of the output to the next, from one row to the next. */
  readonly outImage: number;
  readonly outPitch: number;
  readonly planes: readonly BytePlane[];
  /** `i32`: the bytes as they are, gain and shift left out. */
  readonly output: "f32" | "i32";
}

export interface BytePlane {
  /** Byte of the first pixel, counted from x. */
  readonly first: number;
  /** Element of the first pixel, counted from y. */
  readonly out: number;
  readonly gain: number;
  readonly shift: number;
}

export type FromBytesChoice = Record<string, never>;

/** Four pixels so far apart still lie in two vectors. */
export const maxPixelBytes = 9;

export const f32FromBytes = defineKernel<FromBytesProblem, FromBytesChoice>({
  name: "f32-from-bytes",
  backend: "wasm",
  operands: () => ["x", "y"],
  choices: () => [{}],
  cost: (p) => p.images * p.rows * p.planes.length * ((p.columns / 4) * 4 + 10),
  items: (p) => p.images * p.rows,
  emit(context, p) {
    const { fn, operand, begin, end } = context;
    const item = fn.let(begin);
    const column = fn.local("i32");
    fn.for(item, end, 1, () => {
      const image = p.images === 1 ? i32.const(0) : fn.let(i32.divU(item, i32.const(p.rows)));
      const row = p.images === 1 ? item : i32.remU(item, i32.const(p.rows));
      const line = fn.let(row);
      const at = (base: I32, perImage: number, perRow: number) =>
        fn.let(i32.add(base, i32.add(p.images === 1 ? i32.const(0) : i32.mul(image, i32.const(perImage)), i32.mul(line, i32.const(perRow)))));
      const x = at(operand("x"), p.imageBytes, p.rowBytes);
      const y = at(operand("y"), 4 * p.outImage, 4 * p.outPitch);
      const four = (lanes: number) => {
        const from = fn.let(i32.add(x, i32.mul(column, i32.const(p.pixelBytes))));
        const to = fn.let(i32.add(y, i32.shl(column, i32.const(2))));
        emitPixels(context, p, from, to, lanes);
      };
      fn.set(column, i32.const(0));
      if (p.columns < 4) return four(p.columns);
      fn.for(column, i32.const(p.columns - 3), 4, () => four(4));
      if (p.columns % 4 === 0) return;
      fn.set(column, i32.const(p.columns - 4));
      four(4);
    });
  },
});

/** Four pixels of all planes; what lies close together is loaded once. */
function emitPixels({ fn, target }: EmitContext, p: FromBytesProblem, x: Local<"i32">, y: Local<"i32">, lanes: number): void {
  const first = Math.min(...p.planes.map((plane) => plane.first));
  const low = fn.let(v128.load(x, first));
  const reach = Math.max(...p.planes.map((plane) => plane.first)) - first + 3 * p.pixelBytes;
  const zero = fn.let(v128.constI32(0));
  const high = reach < 16 ? zero : fn.let(v128.load(x, first + 16));
  for (const plane of p.planes) {
    const bytes = [0, 1, 2, 3].map((pixel) => plane.first - first + pixel * p.pixelBytes);
    const integers = reach < 16 ? spread(low, zero, bytes) : v128.and(spread(low, high, bytes), v128.constI32(255));
    const value = p.output === "i32" ? integers : scaled(plane, f32x4.convertI32x4(integers));
    fn.storeLanes(y, fn.let(value), lanes, 4 * plane.out);
  }

  function scaled({ gain, shift }: BytePlane, v: V128): V128 {
    if (shift !== 0) return madd(target, v, f32x4.const(gain), f32x4.const(shift));
    return gain === 1 ? v : f32x4.mul(v, f32x4.const(gain));
  }
}

/** Each of four bytes in the lowest byte of a lane, the first of `b` in the others. */
const spread = (a: V128, b: V128, bytes: readonly number[]): V128 =>
  v128.shuffleBytes(
    a,
    b,
    bytes.flatMap((byte) => [byte, 16, 16, 16]),
  );
