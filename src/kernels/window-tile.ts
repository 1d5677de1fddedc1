import type { Tile } from "./region.ts";

/** An accumulator that wants a vector, and the tap that it is for. */
export interface Use {
  readonly accumulator: number;
  readonly tap: number;
}

/** A vector of 4 inputs, `columnStep` columns apart, that some accumulators of a tile want. */
export interface Need {
  /** Elements from the tile's first input; those to its row's first element, and the column that its first lane has. */
  readonly offset: number;
  readonly line: number;
  readonly column: number;
  /** Lanes (bits) inside of the input, 1…15; undefined if that is only known when running. */
  readonly mask: number | undefined;
  readonly uses: readonly Use[];
}

/** What lies around an input plane that has no padding in memory. */
export interface Border {
  /** Size of the plane. */
  readonly rows: number;
  readonly columns: number;
  /** How far above and left of the plane the first window begins. */
  readonly top: number;
  readonly left: number;
  /** What taps outside of the plane read. */
  readonly value: number;
  /** Vertical stride. */
  readonly rowStep: number;
  /** Row and column of each tap, from the window's corner. */
  readonly taps: readonly (readonly [number, number])[];
}

/** Geometry of a window that slides over rows and columns, in elements. */
export interface Sliding {
  readonly taps: readonly number[];
  /** Distance of the input rows that neighbouring output rows start at. */
  readonly inPitch: number;
  readonly columnStep: number;
  readonly border?: Border | undefined;
}

/** Lanes (bits) of vector `vector` of a tile that begins in output column `column` for which tap `t` is inside of the input's columns. */
export function lanesInside({ border, columnStep }: Sliding, column: number, vector: number, t: number): number {
  if (border === undefined) return 15;
  const first = column * columnStep + 4 * vector * columnStep + (border.taps[t] as readonly [number, number])[1] - border.left;
  return [0, 1, 2, 3].reduce((mask, lane) => mask | (first + lane * columnStep >= 0 && first + lane * columnStep < border.columns ? 1 << lane : 0), 0);
}

export function rowInside({ border }: Sliding, row: number, t: number): boolean {
  if (border === undefined) return true;
  const y = row * border.rowStep + (border.taps[t] as readonly [number, number])[0] - border.top;
  return y >= 0 && y < border.rows;
}

/**
 * The vectors that a tile at an output row and column (or at all of some columns) needs, each once, row by row of the input, and in a row those first that many vectors of
 * output begin with, so that neighbours in the list feed different accumulators.
 */
export function needsOf(s: Sliding, tile: Tile, row: number, column: number | readonly number[], inward = false): Need[] {
  // Rows narrower than the window reach the same element from different columns.
  const needs = new Map<string, { offset: number; column: number; line: number; mask: number | undefined; uses: Use[] }>();
  const step = s.columnStep;
  const pitch = s.border === undefined ? s.inPitch : s.inPitch / s.border.rowStep;
  s.taps.forEach((tapOffset, tap) => {
    for (let r = 0; r < tile.rows; r++) {
      if (!rowInside(s, row + r, tap)) continue;
      for (let v = 0; v < tile.vectors; v++) {
        const masks = new Set((typeof column === "number" ? [column] : column).map((start) => lanesInside(s, start, v, tap)));
        const mask = masks.size === 1 ? [...masks][0] : undefined;
        if (mask === 0) continue;
        const offset = r * s.inPitch + 4 * step * v + tapOffset;
        const at = s.border === undefined ? (pitch > 0 ? tapOffset % pitch : tapOffset) : (s.border.taps[tap] as readonly [number, number])[1];
        const use = { accumulator: r * tile.vectors + v, tap };
        const key = `${offset} ${at + 4 * step * v}`;
        const known = needs.get(key);
        if (known !== undefined) known.uses.push(use);
        else needs.set(key, { offset, column: at + 4 * step * v, line: offset - at - 4 * step * v, mask, uses: [use] });
      }
    }
  });
  const lines = [...new Set([...needs.values()].map((need) => need.line))].sort((a, b) => a - b);
  // With `inward` the first and the last line come together, then the second and the last but one, so that no sum has all its terms at the end.
  const turn = (line: number): number => (inward ? Math.min(lines.indexOf(line), lines.length - 1 - lines.indexOf(line)) : line);
  return [...needs.values()].sort((a, b) => turn(a.line) - turn(b.line) || (a.column % (4 * step)) - (b.column % (4 * step)) || a.line - b.line || a.column - b.column);
}

/** How a vector comes to be: loaded from an offset (elements), or as lanes of two earlier ones. */
export type VectorStep = { readonly load: number } | { readonly low: number; readonly high: number; readonly lanes: readonly [number, number, number, number] };

/** Steps by which all needs are made, in order, and after which of them each need is there. */
export interface VectorPlan {
  readonly steps: readonly VectorStep[];
  readonly madeBy: readonly number[];
}

/**
 * Without `shifts`, vectors are loaded from wherever they start; of those with a column step of 2, a pair of loads gives the even and the odd columns.
 * With `shifts` each column is loaded about once, and vectors that start in between are shuffled out of their neighbours.
 */
export function planVectors(needs: readonly Need[], columnStep: 1 | 2, shifts: boolean): VectorPlan {
  const steps: VectorStep[] = [];
  const known = new Map<string, number>();
  const make = (key: string, step: () => VectorStep): number => {
    const index = known.get(key);
    if (index !== undefined) return index;
    const made = step();
    steps.push(made);
    known.set(key, steps.length - 1);
    return steps.length - 1;
  };
  const load = (offset: number): number => make(`${offset}`, () => ({ load: offset }));
  /** Every second element from an offset on: the columns of one parity. */
  const everySecond = (offset: number, odd: number): number =>
    make(`${offset}+2`, () => ({ low: load(offset - odd), high: load(offset - odd + 4), lanes: odd === 0 ? [0, 2, 4, 6] : [1, 3, 5, 7] }));
  const wanted = new Set(needs.map((n) => n.offset));
  const one = ({ offset, column }: Need): number => {
    if (columnStep === 1) {
      const by = shifts ? column % 4 : 0;
      if (by === 0) return load(offset);
      return make(`${offset} shifted`, () => ({ low: load(offset - by), high: load(offset - by + 4), lanes: [by, by + 1, by + 2, by + 3] }));
    }
    const odd = column % 2;
    const by = shifts ? ((column - odd) % 8) / 2 : 0;
    const from = offset - 2 * by;
    if (by === 0 || !wanted.has(from)) return everySecond(offset, odd);
    return make(`${offset}+2`, () => {
      const low = everySecond(from, odd);
      const lane = (l: number): number => by + l;
      if (wanted.has(from + 8)) return { low, high: everySecond(from + 8, odd), lanes: [lane(0), lane(1), lane(2), lane(3)] };
      // The neighbour is loaded in part: the next columns of the same parity are at its lanes 0 and 2.
      const raw = (l: number): number => (lane(l) < 4 ? lane(l) : 4 + odd + 2 * (lane(l) - 4));
      if (raw(3) > 7) return { low: load(offset - odd), high: load(offset - odd + 4), lanes: odd === 0 ? [0, 2, 4, 6] : [1, 3, 5, 7] };
      return { low, high: load(from - odd + 8), lanes: [raw(0), raw(1), raw(2), raw(3)] };
    });
  };
  const madeBy = needs.map(one);
  return { steps, madeBy };
}

/** What to do next: a step of the plan, or one use of a need. */
export type Action = { readonly step: number } | { readonly need: number; readonly use: number };

/** How many multiplications apart two of one sum should be: on processors that issue two a cycle in order and wait 4 cycles for a sum. */
const apart = 8;

/**
 * An order for processors that execute in order: up to `held` vectors are there before their turn, and of their uses that one comes next whose sum was added to
 * longest ago. With `held` 0 each vector is made when it is needed, and used up at once.
 */
export function schedule(needs: readonly Need[], { steps, madeBy }: VectorPlan, held: number): Action[] {
  const actions: Action[] = [];
  const open: { need: number; left: number[] }[] = [];
  const touched = new Map<number, number>();
  const isLoad = (step: number): boolean => "load" in (steps[step] as VectorStep);
  // What vectors are shuffled out of is loaded a turn earlier.
  const early = held > 0 && steps.some((_, i) => !isLoad(i)) ? 1 : 0;
  let [loaded, made, reached, time] = [0, 0, 0, 0];
  const makeNext = (): void => {
    const last = madeBy[reached] as number;
    const until = Math.max(last, ...madeBy.slice(reached, reached + early + 1));
    for (; loaded <= until; loaded++) if (isLoad(loaded)) actions.push({ step: loaded });
    for (; made <= last; made++) if (!isLoad(made)) actions.push({ step: made });
    open.push({ need: reached, left: (needs[reached] as Need).uses.map((_, i) => i) });
    reached++;
    time++;
  };
  while (reached < needs.length || open.length > 0) {
    if (reached < needs.length && open.length <= held) {
      makeNext();
      if (held > 0 && open.length <= held && reached < needs.length) continue;
    }
    const age = (need: number, use: number): number => Math.min(apart, time - (touched.get(((needs[need] as Need).uses[use] as Use).accumulator) ?? Number.NEGATIVE_INFINITY));
    let best: { place: number; use: number; age: number } | undefined;
    open.forEach(({ need, left }, place) => {
      for (const use of left) if (best === undefined || age(need, use) > best.age) best = { place, use, age: age(need, use) };
    });
    const { place, use } = held === 0 ? { place: 0, use: (open[0] as { left: number[] }).left[0] as number } : (best as unknown as { place: number; use: number });
    const from = open[place] as { need: number; left: number[] };
    actions.push({ need: from.need, use });
    touched.set(((needs[from.need] as Need).uses[use] as Use).accumulator, time++);
    from.left.splice(from.left.indexOf(use), 1);
    if (from.left.length === 0) open.splice(place, 1);
  }
  return actions;
}

/** A run of tiles along one direction that meet the border alike; the last of all tiles moves back to end with the region. */
export interface TileRun {
  /** Where the run's first tile begins, and how many there are, `step` apart. */
  readonly first: number;
  readonly count: number;
  /** Whether the last tile is less than `step` from the one before. */
  readonly clamped: boolean;
}

/** Tiles of `step` that cover `size`, in runs of equal `kind`. */
export function tileRuns(size: number, step: number, kind: (start: number) => string): TileRun[] {
  const runs: { first: number; count: number; clamped: boolean; kind: string }[] = [];
  for (let i = 0; i * step < size; i++) {
    const start = Math.min(i * step, size - step);
    const here = kind(start);
    const last = runs.at(-1);
    if (last?.kind === here) {
      last.count++;
      last.clamped = start !== i * step;
    } else runs.push({ first: start, count: 1, clamped: false, kind: here });
  }
  return runs;
}
