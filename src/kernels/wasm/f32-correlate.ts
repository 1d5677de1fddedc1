import { type F32, f32, f32x4, i32, v128 } from "../../codegen/wasm/code.ts";
import { defineKernel } from "../kernel.ts";

/**
 * dw[m, c, t] = Σ_p dy[m, p] · x[c, p + tap t]: the gradient of a convolution's weights. Regions are h rows of w elements; w is a
 * multiple of 4. The output is row-major [m][c][t].
 */
export interface CorrelateProblem {
  readonly m: number;
  readonly channels: number;
  readonly taps: readonly number[];
  readonly h: number;
  readonly w: number;
  readonly xPitch: number;
  readonly dyPitch: number;
  readonly xStride: number;
  readonly dyStride: number;
}

export interface CorrelateChoice {
  readonly filters: number;
  readonly channels: number;
}

export const f32Correlate = defineKernel<CorrelateProblem, CorrelateChoice>({
  name: "f32-correlate",
  backend: "wasm",
  operands: () => ["x", "dy", "y"],
  choices(p, target) {
    const sizes = [
      [3, 3],
      [4, 2],
      [2, 4],
      [5, 1],
      [1, 4],
      [2, 2],
      [1, 1],
      [4, 4],
    ] as const;
    return sizes.filter(([f, c]) => f <= p.m && c <= p.channels && f * c + f + 1 <= target.vectorRegisters).map(([filters, channels]) => ({ filters, channels }));
  },
  cost(p, { filters, channels }) {
    const pixels = (p.h * p.w) / 4;
    const blocks = Math.ceil(p.m / filters) * Math.ceil(p.channels / channels) * p.taps.length;
    return blocks * (pixels * Math.max((filters * channels) / 2, (filters + channels) / 2, 1) + filters * channels * 12 + p.h * 6);
  },
  sharesLoads: (_, { filters, channels }) => filters * channels > 1,
  items: (p, { filters, channels }) => Math.ceil(p.m / filters) * Math.ceil(p.channels / channels) * p.taps.length,
  emit({ fn, target, operand, begin, end }, p, choice) {
    const { filters, channels } = choice;
    const taps = p.taps.length;
    const channelBlocks = Math.ceil(p.channels / channels);
    const item = fn.let(begin);
    const tap = fn.local("i32");
    const filter = fn.local("i32");
    const channel = fn.local("i32");
    const x = fn.local("i32");
    const dy = fn.local("i32");
    const acc = fn.locals("v128", filters * channels);
    const overlap = (index: typeof filter, step: number, size: number) => {
      fn.set(index, i32.mul(index, i32.const(step)));
      if (size % step > 0) fn.set(index, i32.select(index, i32.const(size - step), i32.ltS(index, i32.const(size - step))));
    };
    fn.for(item, end, 1, () => {
      fn.set(tap, i32.remU(item, i32.const(taps)));
      const rest = fn.let(i32.divU(item, i32.const(taps)));
      fn.set(channel, i32.remU(rest, i32.const(channelBlocks)));
      fn.set(filter, i32.divU(rest, i32.const(channelBlocks)));
      overlap(channel, channels, p.channels);
      overlap(filter, filters, p.m);
      const tapOffset = fn.let(i32.const(0));
      if (taps > 1)
        fn.switch(
          tap,
          p.taps.map((offset) => () => fn.set(tapOffset, i32.const(4 * offset))),
        );
      else fn.set(tapOffset, i32.const(4 * (p.taps[0] as number)));
      fn.set(x, i32.add(i32.add(operand("x"), tapOffset), i32.mul(channel, i32.const(4 * p.xStride))));
      fn.set(dy, i32.add(operand("dy"), i32.mul(filter, i32.const(4 * p.dyStride))));
      for (const a of acc) fn.set(a, f32x4.const(0));
      const rows = fn.let(i32.const(p.h));
      fn.doWhile(
        () => {
          const xAt = fn.let(x);
          const dyAt = fn.let(dy);
          const stop = fn.let(i32.add(dy, i32.const(4 * p.w)));
          fn.doWhile(
            () => {
              const d = Array.from({ length: filters }, (_, f) => fn.let(v128.load(dyAt, 4 * f * p.dyStride)));
              for (let c = 0; c < channels; c++) {
                const v = fn.let(v128.load(xAt, 4 * c * p.xStride));
                d.forEach((g, f) => {
                  const a = acc[f * channels + c] as (typeof acc)[number];
                  fn.set(a, target.fma ? f32x4.relaxedMadd(g, v, a) : f32x4.add(a, f32x4.mul(g, v)));
                });
              }
              fn.set(xAt, i32.add(xAt, i32.const(16)));
              fn.set(dyAt, i32.add(dyAt, i32.const(16)));
            },
            () => i32.ltU(dyAt, stop),
          );
          fn.set(x, i32.add(x, i32.const(4 * p.xPitch)));
          fn.set(dy, i32.add(dy, i32.const(4 * p.dyPitch)));
          fn.set(rows, i32.sub(rows, i32.const(1)));
        },
        () => rows,
      );
      const y = fn.let(i32.add(operand("y"), i32.shl(i32.add(i32.mul(i32.add(i32.mul(filter, i32.const(p.channels)), channel), i32.const(taps)), tap), i32.const(2))));
      acc.forEach((a, i) => {
        const lanes = [0, 1, 2, 3].map((l) => f32x4.extract(a, l)) as [F32, F32, F32, F32];
        fn.storeF32(y, f32.add(f32.add(lanes[0], lanes[1]), f32.add(lanes[2], lanes[3])), 4 * (Math.floor(i / channels) * p.channels + (i % channels)) * taps);
      });
    });
  },
});
