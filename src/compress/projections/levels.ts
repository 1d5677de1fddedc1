import { CadnnError } from "../../errors.ts";

/**
 * A family of levels that differ by their scale q > 0:
 * - `signed`: ±q, ±2q, …, ±2^(b−1) q, without 0, which is what pruned weights have;
 * - `affine`: 2^b equal intervals, (0 − z) q … (2^b − 1 − z) q with a whole zero point z;
 * - `power-of-two`: ±2^e, ±2^(e+1), …, 2^(b−1) magnitudes, e a whole number;
 * - `ternary`: −q, 0, q;  `binary`: −q, q.
 */
export type LevelKind = "signed" | "affine" | "power-of-two" | "ternary" | "binary";
export const levelKinds: readonly LevelKind[] = ["signed", "affine", "power-of-two", "ternary", "binary"];

/** How many bits of which levels. */
export interface LevelFamily {
  readonly kind: LevelKind;
  /** 1 to 8. `ternary` has 2, `binary` 1. */
  readonly bits: number;
}

/** Multiples of q that values of either sign may take, ascending magnitudes; the lists hold 0 where 0 is a level. */
export interface Grid {
  readonly positive: readonly number[];
  readonly negative: readonly number[];
}

/** Levels that were found for some values. */
export interface FittedLevels {
  readonly grid: Grid;
  readonly scale: number;
  /** Σ h (v − Q(v))² */
  readonly error: number;
}

export interface FitOptions {
  /** Weight h ≥ 0 of each value's square error; 1 unless given. */
  readonly importance?: ArrayLike<number> | undefined;
  /** Values may also become 0, which is then not counted as a level. */
  readonly allowZero?: boolean | undefined;
  /** Grids to choose from; all of the family unless given. */
  readonly grids?: readonly Grid[] | undefined;
}

/** @throws `E_INVALID_OPTION` */
export function checkLevels({ kind, bits }: LevelFamily): void {
  const fits = kind === "ternary" ? bits === 2 : kind === "binary" ? bits === 1 : Number.isInteger(bits) && bits >= 1 && bits <= 8;
  if (!fits || !levelKinds.includes(kind))
    throw new CadnnError("E_INVALID_OPTION", `there are no ${bits}-bit ${kind} levels`, {
      at: "bits",
      hint: `Give 1 to 8 bits of ${levelKinds.slice(0, 3).join(", ")}; 2 of ternary; 1 of binary.`,
    });
}

const range = (from: number, to: number): number[] => Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i);

/** All grids of a family up to scale; the best one of them and its best scale are the best levels. */
export function gridsOf({ kind, bits }: LevelFamily, allowZero = false): Grid[] {
  const zero = allowZero ? [0] : [];
  const half = 2 ** (bits - 1);
  const symmetric = (magnitudes: number[]): Grid[] => [{ positive: magnitudes, negative: magnitudes }];
  switch (kind) {
    case "signed":
      return symmetric([...zero, ...range(1, half)]);
    case "binary":
      return symmetric([...zero, 1]);
    case "ternary":
      return symmetric([0, 1]);
    case "power-of-two":
      return symmetric([...zero, ...range(0, half - 1).map((e) => 2 ** e)]);
    case "affine":
      return range(0, 2 ** bits - 1).map((z) => ({ positive: range(0, 2 ** bits - 1 - z), negative: range(0, z) }));
  }
}

/**
 * The levels of the family that are nearest to the values: the global minimum over the scale (and the zero point), not a search that
 * may stop early. All values 0: scale 1.
 */
export function fitLevels(values: ArrayLike<number>, family: LevelFamily, options: FitOptions = {}): FittedLevels {
  let best: FittedLevels | undefined;
  for (const grid of options.grids ?? gridsOf(family, options.allowZero)) {
    const fitted = family.kind === "power-of-two" ? fitPowerOfTwo(values, grid, options.importance) : fitScale(values, grid, options.importance);
    if (best === undefined || fitted.error < best.error) best = fitted;
  }
  return best as FittedLevels;
}

/**
 * min over q of Σ h (v − Q_q(v))². For a fixed choice of levels l, the best q is S1/S2 with S1 = Σ h |v| l, S2 = Σ h l², and the error is
 * Σ h v² − S1²/S2. As q grows from 0, each value steps from its greatest level down to its least, at q = |v| over the middle between two
 * levels; so walking all steps in the order of q visits every choice that is best for some q.
 */
export function fitScale(values: ArrayLike<number>, grid: Grid, importance?: ArrayLike<number>): FittedLevels {
  const sides = ([1, -1] as const).map((sign) => ({ levels: sign > 0 ? grid.positive : grid.negative, sorted: sortedSide(values, sign, importance) }));
  let [energy, s1, s2] = [0, 0, 0];
  const heads: Head[] = [];
  for (const { levels, sorted } of sides) {
    const top = levels.at(-1) ?? 0;
    sorted.magnitudes.forEach((m, i) => {
      const h = sorted.importance[i] as number;
      energy += h * m * m;
      s1 += h * m * top;
      s2 += h * top * top;
    });
    if (sorted.magnitudes.length === 0) continue;
    for (let j = 1; j < levels.length; j++) {
      const [low, high] = [levels[j - 1] as number, levels[j] as number];
      heads.push({ sorted, next: 0, middle: (low + high) / 2, change1: low - high, change2: low * low - high * high, at: 0 });
    }
  }
  const greatest2 = s2;
  const error = () => (s2 > 0 ? energy - (s1 * s1) / s2 : energy);
  let best = { error: error(), scale: s2 > 0 ? s1 / s2 : 1 };
  const heap = new HeadHeap(heads);
  for (let head = heap.top; head !== undefined; head = heap.top) {
    const q = head.at;
    // Steps at the same q belong together: nobody is between them.
    while (head !== undefined && head.at === q) {
      const i = head.next++;
      const [m, h] = [head.sorted.magnitudes[i] as number, head.sorted.importance[i] as number];
      s1 += h * m * head.change1;
      s2 += h * head.change2;
      heap.settleTop();
      head = heap.top;
    }
    // Sums of many terms cancel in the end; what is left then is no choice of levels.
    if (s2 > 1e-12 * greatest2 && s1 > 0 && error() < best.error) best = { error: error(), scale: s1 / s2 };
  }
  const best32 = Math.fround(best.scale);
  // A float32, so that weights are whole multiples of it, each rounded once; but for values that float32 can hardly tell from 0.
  const scale = !(best.scale > 0 && Number.isFinite(best.scale)) ? 1 : best32 > 1e-30 && Number.isFinite(best32) ? best32 : best.scale;
  return { grid, scale, error: errorAt(values, grid, scale, importance) };
}

/** Like `fitScale` for scales 2^e, e whole: all e are tried from where every value is below the least level to where all are above the greatest. */
function fitPowerOfTwo(values: ArrayLike<number>, grid: Grid, importance?: ArrayLike<number>): FittedLevels {
  let [least, greatest] = [Number.POSITIVE_INFINITY, 0];
  for (let i = 0; i < values.length; i++) {
    const m = Math.abs(values[i] as number);
    if (m > 0) least = Math.min(least, m);
    greatest = Math.max(greatest, m);
  }
  if (greatest === 0) return { grid, scale: 1, error: errorAt(values, grid, 1, importance) };
  const spread = Math.log2(grid.positive.at(-1) as number);
  let best: FittedLevels | undefined;
  for (let e = Math.ceil(Math.log2(greatest)) + 1; e >= Math.floor(Math.log2(least)) - spread - 1; e--) {
    const error = errorAt(values, grid, 2 ** e, importance);
    if (best === undefined || error < best.error) best = { grid, scale: 2 ** e, error };
  }
  return best as FittedLevels;
}

/** The level nearest to v, in multiples of q. */
export function nearestMultiple(v: number, { positive, negative }: Grid, scale: number): number {
  const levels = v < 0 ? negative : positive;
  const m = Math.abs(v) / scale;
  const [least, greatest] = [levels[0] ?? 0, levels[levels.length - 1] ?? 0];
  let j = 0;
  if (greatest - least === levels.length - 1) j = Math.min(levels.length - 1, Math.max(0, Math.ceil(m - 0.5) - least));
  else while (j + 1 < levels.length && m > ((levels[j] as number) + (levels[j + 1] as number)) / 2) j++;
  const level = levels[j] ?? 0;
  return v < 0 && level > 0 ? -level : level;
}

export function nearestLevel(v: number, { grid, scale }: Pick<FittedLevels, "grid" | "scale">): number {
  return nearestMultiple(v, grid, scale) * scale;
}

/** All levels, ascending, without 0 where it is none. */
export function levelsOf({ grid, scale }: Pick<FittedLevels, "grid" | "scale">): Float32Array {
  const multiples = new Set([...grid.positive, ...grid.negative.map((m) => -m || 0)]);
  return Float32Array.from([...multiples].sort((a, b) => a - b).map((m) => m * scale));
}

function errorAt(values: ArrayLike<number>, grid: Grid, scale: number, importance?: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    const v = values[i] as number;
    sum += (importance?.[i] ?? 1) * (v - nearestMultiple(v, grid, scale) * scale) ** 2;
  }
  return sum;
}

interface SortedSide {
  readonly magnitudes: Float64Array;
  readonly importance: Float64Array;
}

/** |v| of the values of one sign in ascending order (0 counts as positive), each with its weight. */
function sortedSide(values: ArrayLike<number>, sign: 1 | -1, importance: ArrayLike<number> | undefined): SortedSide {
  const indices: number[] = [];
  for (let i = 0; i < values.length; i++) if ((values[i] as number) < 0 === sign < 0) indices.push(i);
  const order = Uint32Array.from(indices).sort((a, b) => Math.abs(values[a] as number) - Math.abs(values[b] as number));
  return { magnitudes: Float64Array.from(order, (i) => Math.abs(values[i] as number)), importance: Float64Array.from(order, (i) => importance?.[i] ?? 1) };
}

/** The steps between two neighbouring levels, the next of which comes at scale `at`. */
interface Head {
  readonly sorted: SortedSide;
  next: number;
  readonly middle: number;
  readonly change1: number;
  readonly change2: number;
  at: number;
}

/** A binary heap of heads by `at`. */
class HeadHeap {
  readonly #heads: Head[];

  constructor(heads: readonly Head[]) {
    this.#heads = heads.filter((head) => advance(head));
    for (let i = this.#heads.length >> 1; i >= 0; i--) this.#sink(i);
  }

  get top(): Head | undefined {
    return this.#heads[0];
  }

  /** After `next` of the top has grown. */
  settleTop(): void {
    const top = this.#heads[0] as Head;
    if (!advance(top)) {
      const last = this.#heads.pop() as Head;
      if (this.#heads.length === 0) return;
      this.#heads[0] = last;
    }
    this.#sink(0);
  }

  #sink(from: number): void {
    const heads = this.#heads;
    for (let i = from; ; ) {
      let least = i;
      for (const child of [2 * i + 1, 2 * i + 2]) if (child < heads.length && (heads[child] as Head).at < (heads[least] as Head).at) least = child;
      if (least === i) return;
      const head = heads[i] as Head;
      heads[i] = heads[least] as Head;
      heads[least] = head;
      i = least;
    }
  }
}

/** Whether there is another step. */
function advance(head: Head): boolean {
  const more = head.next < head.sorted.magnitudes.length;
  if (more) head.at = (head.sorted.magnitudes[head.next] as number) / head.middle;
  return more;
}
