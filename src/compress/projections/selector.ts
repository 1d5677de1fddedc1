import { selectPatterns } from "./patterns.ts";
import { selectLargest } from "./select.ts";
import { type Structure, structureFor, type WeightShape } from "./structure.ts";

/**
 * Chooses which weights may be non-zero. `energies[i]` is by how much keeping weight i lowers what is to be minimized, v² for a Euclidean
 * projection. The mask has the greatest total energy of all masks of the structure with at most `count` ones, but one group at least.
 */
export type Selector = (energies: Float64Array, count: number) => Uint8Array;

/**
 * The exact choice for a structure. Weights form groups, which are kept or dropped whole, and groups form cells: the best groups of each
 * cell are the best mask, as cells do not depend on each other. Patterns: see `selectPatterns`.
 */
export function selectorOf(structure: Structure, shape: WeightShape): Selector {
  const fitting = structureFor(structure, shape);
  if (fitting.kind === "unstructured") return (energies, count) => selectLargest(energies, Math.max(1, count));
  if (fitting.kind === "patterns") return (energies, count) => selectPatterns(energies, count, fitting.library);
  const partition = partitionOf(fitting, shape);
  return (energies, count) => selectGroups(energies, count, partition);
}

/** Weights a structure keeps of this shape, whatever the budget; `undefined` where the budget decides. */
export function fixedCount(structure: Structure, shape: WeightShape): number | undefined {
  const fitting = structureFor(structure, shape);
  if (fitting.kind !== "n-of-m") return undefined;
  const { n, m } = fitting;
  const rest = shape.inputs % m;
  return shape.outputs * shape.taps * (((shape.inputs - rest) / m) * n + Math.min(n, rest));
}

interface Partition {
  /** Of each weight. */
  readonly group: Int32Array;
  readonly groups: number;
  /** Weights of a whole group; those at edges may have fewer. */
  readonly size: number;
  /** Of each group, −1 for groups that have no weights; without it there is one. */
  readonly cell?: Int32Array;
  /** Groups to keep in each cell. */
  readonly keep?: number;
}

function partitionOf(structure: Exclude<Structure, { kind: "unstructured" | "patterns" }>, shape: WeightShape): Partition {
  const { outputs, inputs, taps } = shape;
  switch (structure.kind) {
    case "block": {
      const [high, wide] = [structure.outputs, structure.inputs];
      const across = Math.ceil(inputs / wide);
      const group = numbered(shape, (o, i, t) => (Math.floor(o / high) * across + Math.floor(i / wide)) * taps + t);
      return { group, groups: Math.ceil(outputs / high) * across * taps, size: Math.min(high, outputs) * Math.min(wide, inputs) };
    }
    case "filters":
      return { group: numbered(shape, (o) => o), groups: outputs, size: inputs * taps };
    case "channels":
      return { group: numbered(shape, (_, i) => i), groups: inputs, size: outputs * taps };
    case "kernels":
      return { group: numbered(shape, (o, i) => o * inputs + i), groups: outputs * inputs, size: taps };
    case "n-of-m": {
      const { n, m } = structure;
      const across = Math.ceil(inputs / m);
      const cell = numbered(shape, (o, i, t) => (o * across + Math.floor(i / m)) * taps + t);
      return { group: cell.map((_, index) => index), groups: cell.length, size: 1, cell, keep: n };
    }
    case "rows":
    case "columns": {
      const [high, wide] = [Math.min(structure.outputs, outputs), Math.min(structure.columns, inputs * taps)];
      const [down, across] = [Math.ceil(outputs / high), Math.ceil((inputs * taps) / wide)];
      const lines = structure.kind === "rows" ? high : wide;
      const group = numbered(shape, (o, i, t) => {
        const column = i * taps + t;
        return (Math.floor(o / high) * across + Math.floor(column / wide)) * lines + (structure.kind === "rows" ? o % high : column % wide);
      });
      const cell = new Int32Array(down * across * lines).fill(-1);
      for (const g of group) cell[g] = Math.floor(g / lines);
      return { group, groups: cell.length, size: structure.kind === "rows" ? wide : high, cell };
    }
  }
}

function numbered({ outputs, inputs, taps }: WeightShape, number: (output: number, input: number, tap: number) => number): Int32Array {
  const result = new Int32Array(outputs * inputs * taps);
  let at = 0;
  for (let o = 0; o < outputs; o++) for (let i = 0; i < inputs; i++) for (let t = 0; t < taps; t++) result[at++] = number(o, i, t);
  return result;
}

function selectGroups(energies: Float64Array, count: number, { group, groups, size, cell, keep }: Partition): Uint8Array {
  if (keep === undefined && count >= energies.length) return new Uint8Array(energies.length).fill(1);
  const sums = new Float64Array(groups);
  for (let i = 0; i < energies.length; i++) sums[group[i] as number] = (sums[group[i] as number] as number) + (energies[i] as number);
  const kept = cell === undefined ? selectLargest(sums, Math.min(groups, Math.max(1, Math.floor(count / size)))) : selectInCells(sums, cell, keep ?? count / energies.length);
  return Uint8Array.from(energies, (_, i) => kept[group[i] as number] as number);
}

/** The best of each cell: `keep` of them or, below 1, this share of them, but one at least. */
function selectInCells(sums: Float64Array, cell: Int32Array, keep: number): Uint8Array {
  const members = new Map<number, number[]>();
  cell.forEach((c, g) => {
    if (c < 0) return;
    const list = members.get(c);
    if (list === undefined) members.set(c, [g]);
    else list.push(g);
  });
  const kept = new Uint8Array(sums.length);
  for (const list of members.values()) {
    const wanted = keep >= 1 ? keep : Math.max(1, Math.floor(keep * list.length + 1e-9));
    list.sort((a, b) => (sums[b] as number) - (sums[a] as number) || a - b);
    for (const g of list.slice(0, wanted)) kept[g] = 1;
  }
  return kept;
}
