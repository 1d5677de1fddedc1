import { type FittedLevels, fitLevels, type LevelFamily, levelsOf, nearestLevel } from "./levels.ts";
import type { Selector } from "./selector.ts";
import type { WeightShape } from "./structure.ts";

/** A set of weights and the nearest of its points. */
export interface Projection {
  /** Π(values), row-major [outputs, inputs, taps]. */
  project(values: Float32Array): Projected;
}

export interface Projected {
  readonly values: Float32Array;
  /** Weights that may be other than 0. */
  readonly mask: Uint8Array;
  /** Levels of each output, or one entry for all; missing where weights are not quantized. */
  readonly levels?: readonly Float32Array[];
}

export interface Quantization extends LevelFamily {
  /** One scale for the whole weight, or one for each output. */
  readonly per: "tensor" | "channel";
}

/** At most `count` weights in the structure of `select`; exact. */
export function pruning(select: Selector, count: number): Projection {
  return {
    project(values) {
      const mask = select(squares(values), count);
      return { values: values.map((v, i) => (mask[i] === 1 ? v : 0)), mask };
    },
  };
}

/** Weights on levels, a zero staying zero if `keepZeros`; exact. */
export function quantizing(quantization: Quantization, shape: WeightShape, keepZeros = false): Projection {
  return {
    project(values) {
      const mask = keepZeros ? Uint8Array.from(values, (v) => Number(v !== 0)) : new Uint8Array(values.length).fill(1);
      const fitted = fitRows(values, mask, quantization, shape, false);
      return { values: rounded(values, mask, fitted, shape), mask, levels: fitted.map(levelsOf) };
    },
  };
}

/**
 * At most `count` weights, and those on levels. For given levels, keeping v on level Q lowers the distance by v² − (v − Q)², so that the
 * best weights are again those of greatest energy: a closed form. For given weights the best levels are `fitLevels`. Both in turn, which
 * never goes up. Unstructured with one scale the first round is the optimum, as energies grow with |v| whatever the scale; else the two
 * together are hard, and what comes out is a point that neither can improve.
 */
export function pruningAndQuantizing(select: Selector, count: number, quantization: Quantization, shape: WeightShape): Projection {
  return {
    project(values) {
      let mask = select(squares(values), count);
      let fitted = fitRows(values, mask, quantization, shape, true);
      let out = rounded(values, mask, fitted, shape);
      for (let round = 0, error = distance2(values, out); round < 20; round++) {
        const energies = Float64Array.from(values, (v, i) => Math.max(0, v * v - (v - nearestLevel(v, rowOf(fitted, i, shape))) ** 2));
        const nextMask = select(energies, count);
        const nextFitted = fitRows(values, nextMask, quantization, shape, true);
        const nextOut = rounded(values, nextMask, nextFitted, shape);
        const nextError = distance2(values, nextOut);
        if (!(nextError < error * (1 - 1e-9))) break;
        [mask, fitted, out, error] = [nextMask, nextFitted, nextOut, nextError];
      }
      return { values: out, mask: mask.map((m, i) => (m === 1 && out[i] !== 0 ? 1 : 0)), levels: fitted.map((f) => levelsOf(f).filter((level) => level !== 0)) };
    },
  };
}

function fitRows(values: Float32Array, mask: Uint8Array, { per, ...family }: Quantization, { outputs }: WeightShape, allowZero: boolean): FittedLevels[] {
  const rows = per === "tensor" ? 1 : outputs;
  const length = values.length / rows;
  return Array.from({ length: rows }, (_, row) => {
    const kept: number[] = [];
    for (let i = row * length; i < (row + 1) * length; i++) if (mask[i] === 1) kept.push(values[i] as number);
    return fitLevels(kept, family, { allowZero });
  });
}

const rowOf = (fitted: readonly FittedLevels[], index: number, { inputs, taps }: WeightShape): FittedLevels =>
  fitted[fitted.length === 1 ? 0 : Math.floor(index / (inputs * taps))] as FittedLevels;

function rounded(values: Float32Array, mask: Uint8Array, fitted: readonly FittedLevels[], shape: WeightShape): Float32Array {
  return values.map((v, i) => (mask[i] === 1 ? nearestLevel(v, rowOf(fitted, i, shape)) : 0));
}

function squares(values: Float32Array): Float64Array {
  return Float64Array.from(values, (v) => v * v);
}

function distance2(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += ((a[i] as number) - (b[i] as number)) ** 2;
  return sum;
}
