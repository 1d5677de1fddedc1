import { f32x4, i32, type V128, v128 } from "../../codegen/wasm/code.ts";
import type { Local } from "../../codegen/wasm/function.ts";
import { defineKernel } from "../kernel.ts";
import { madd } from "../vector-math.ts";

/**
 * Σ_p dy[a + p] · x[b + p] for a list of pairs of places a and b: the elements of a convolution's weight gradient at which the weight may be
 * non-zero. p walks h rows of w elements; w is a multiple of 4.
 *
 * Operand `pairs` holds groups of one byte offset into dy and `entries` into x, which share what is loaded of dy. The sums are left in parts: vectors
 * [part][group][entry], of which all parts and lanes are to be added up (f32-sum-parts). A part is a run of chunks of rows, so that what a chunk
 * reads is in the cache for all groups.
 */
export interface CorrelateAtProblem {
  readonly groups: number;
  /** Places in x of a group. */
  readonly entries: number;
  readonly h: number;
  readonly w: number;
  readonly xPitch: number;
  readonly dyPitch: number;
  /** Vectors of a chunk; rows are split into chunks. */
  readonly chunk: number;
  readonly parts: number;
}

export interface CorrelateAtChoice {
  /** Vectors of a turn of the inner loop, each with sums of its own. */
  readonly vectors: number;
}

export const chunksOf = (p: Pick<CorrelateAtProblem, "h" | "w" | "chunk">): number => p.h * Math.ceil(p.w / 4 / p.chunk);

export const f32CorrelateAt = defineKernel<CorrelateAtProblem, CorrelateAtChoice>({
  name: "f32-correlate-at",
  backend: "wasm",
  operands: () => ["x", "dy", "pairs", "y"],
  choices(p, target) {
    const out: CorrelateAtChoice[] = [];
    for (const vectors of [1, 2, 4]) {
      const live = p.entries * vectors + (target.loadsFirst ? (p.entries + 1) * vectors : vectors + 1);
      if (vectors === 1 || ((p.w / 4) % vectors === 0 && p.chunk % vectors === 0 && live <= target.vectorRegisters)) out.push({ vectors });
    }
    return out;
  },
  cost(p, { vectors }, target) {
    const perRow = Math.ceil(p.w / 4 / p.chunk);
    const turn = Math.max(vectors * 0.55 * (p.entries + 1), p.entries * (target.fma ? 4 / Math.max(4, p.entries * vectors) : 1) * vectors) + 1.5;
    return p.h * p.groups * ((p.w / 4 / vectors) * turn + perRow * (12 + 3 * p.entries * vectors));
  },
  sharesLoads: (p) => p.entries > 1,
  items: (p) => p.parts,
  emit({ fn, target, operand, begin, end }, p, { vectors }) {
    const { chunk } = p;
    const lanes = p.w / 4;
    const perRow = Math.ceil(lanes / chunk);
    const chunks = chunksOf(p);
    const partBytes = 16 * p.groups * p.entries;
    const pairBytes = 4 * (p.entries + 1);
    const item = fn.let(begin);
    const at = fn.local("i32");
    fn.for(item, end, 1, () => {
      const sums = fn.let(i32.add(operand("y"), i32.mul(item, i32.const(partBytes))));
      fn.fill(sums, i32.const(0), i32.const(partBytes));
      fn.set(at, i32.divU(i32.mul(item, i32.const(chunks)), i32.const(p.parts)));
      const last = fn.let(i32.divU(i32.mul(i32.add(item, i32.const(1)), i32.const(chunks)), i32.const(p.parts)));
      fn.for(at, last, 1, () => {
        const row = perRow === 1 ? at : fn.let(i32.divU(at, i32.const(perRow)));
        const column = fn.let(perRow === 1 ? i32.const(0) : i32.mul(i32.remU(at, i32.const(perRow)), i32.const(16 * chunk)));
        const x = fn.let(i32.add(operand("x"), i32.add(i32.mul(row, i32.const(4 * p.xPitch)), column)));
        const dy = fn.let(i32.add(operand("dy"), i32.add(i32.mul(row, i32.const(4 * p.dyPitch)), column)));
        const bytes = fn.let(i32.const(16 * Math.min(chunk, lanes)));
        if (perRow > 1 && lanes % chunk !== 0) {
          const left = fn.let(i32.sub(i32.const(16 * lanes), column));
          fn.set(bytes, i32.select(left, bytes, i32.ltS(left, bytes)));
        }
        const pair = fn.let(operand("pairs"));
        const stop = fn.let(i32.add(pair, i32.const(p.groups * pairBytes)));
        const sum = fn.let(sums);
        fn.doWhile(
          () => {
            const dyAt = fn.let(i32.add(dy, i32.load(pair)));
            const xAt = Array.from({ length: p.entries }, (_, e) => fn.let(i32.add(x, i32.load(pair, 4 * (e + 1)))));
            const stopAt = fn.let(i32.add(dyAt, bytes));
            const acc = xAt.flatMap((_, e) => Array.from({ length: vectors }, (_unused, v) => fn.let(v === 0 ? v128.load(sum, 16 * e) : f32x4.const(0))));
            fn.doWhile(
              () => {
                for (let v = 0; v < vectors; v++) {
                  const d = fn.let(v128.load(dyAt, 16 * v));
                  xAt.forEach((address, e) => {
                    const a = acc[e * vectors + v] as Local<"v128">;
                    fn.set(a, madd(target, v128.load(address, 16 * v), d, a));
                  });
                }
                for (const address of [dyAt, ...xAt]) fn.set(address, i32.add(address, i32.const(16 * vectors)));
              },
              () => i32.ltU(dyAt, stopAt),
            );
            xAt.forEach((_, e) => {
              const own: readonly V128[] = acc.slice(e * vectors, (e + 1) * vectors);
              fn.store(
                sum,
                own.reduce((a, b) => f32x4.add(a, b)),
                16 * e,
              );
            });
            fn.set(pair, i32.add(pair, i32.const(pairBytes)));
            fn.set(sum, i32.add(sum, i32.const(16 * p.entries)));
          },
          () => i32.ltU(pair, stop),
        );
      });
    });
  },
});
