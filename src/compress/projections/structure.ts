import { CadnnError } from "../../errors.ts";

/** Which weights are kept or dropped together. Blocks lie in the matrix [outputs, inputs · taps] of a layer; taps are those of a window. */
export type Structure =
  | { readonly kind: "unstructured" }
  /** `outputs` × `inputs` neighbours at one tap: 4×1 are four outputs that read the same input. */
  | { readonly kind: "block"; readonly outputs: number; readonly inputs: number }
  /** In each block of `outputs` × `columns`, equally many rows (or columns) are kept. */
  | { readonly kind: "rows" | "columns"; readonly outputs: number; readonly columns: number }
  /** Of `m` neighbouring inputs at one tap, `n` are kept. */
  | { readonly kind: "n-of-m"; readonly n: number; readonly m: number }
  /** Kernels of 3×3 taps keep 4, at the places of one of `library` patterns; other kernels are dropped whole (connectivity). */
  | { readonly kind: "patterns"; readonly library: number }
  /** Kernels: all taps of an output and an input. */
  | { readonly kind: "kernels" }
  /** Filters: all weights of an output. */
  | { readonly kind: "filters" }
  /** Channels: all weights that read an input. */
  | { readonly kind: "channels" };

/** A weight as outputs × inputs × taps, row-major. */
export interface WeightShape {
  readonly outputs: number;
  readonly inputs: number;
  readonly taps: number;
}

export const unstructured: Structure = { kind: "unstructured" };
export const patternTaps = 9;
export const patternEntries = 4;
export const structureForms = "unstructured, 4x1 (outputs x inputs), 2:4, rows-8x16, columns-8x16, patterns, patterns-8, kernels, filters, channels";

/**
 * Reads `unstructured`, `4x1`, `2:4`, `rows-8x16`, `columns-8x16`, `patterns`, `patterns-6`, `kernels`, `filters` or `channels`.
 * @throws `E_INVALID_OPTION`
 */
export function parseStructure(text: string): Structure {
  const body = text.trim().toLowerCase();
  switch (body) {
    case "unstructured":
    case "kernels":
    case "filters":
    case "channels":
      return { kind: body };
    case "patterns":
      return { kind: "patterns", library: 8 };
  }
  const [, outputs, inputs] = /^(\d+)[x×](\d+)$/.exec(body) ?? [];
  if (Number(outputs) > 0 && Number(inputs) > 0) return { kind: "block", outputs: Number(outputs), inputs: Number(inputs) };
  const [, n, m] = /^(\d+):(\d+)$/.exec(body) ?? [];
  if (Number(n) > 0 && Number(m) >= Number(n)) return { kind: "n-of-m", n: Number(n), m: Number(m) };
  const [, lines, height, width] = /^(rows|columns)-(\d+)[x×](\d+)$/.exec(body) ?? [];
  if ((lines === "rows" || lines === "columns") && Number(height) > 0 && Number(width) > 0) return { kind: lines, outputs: Number(height), columns: Number(width) };
  const [, library] = /^patterns-(\d+)$/.exec(body) ?? [];
  if (Number(library) > 0) return { kind: "patterns", library: Number(library) };
  throw new CadnnError("E_INVALID_OPTION", `there is no structure "${text}"`, { at: "structure", hint: `Structures: ${structureForms}.` });
}

export function formatStructure(structure: Structure): string {
  switch (structure.kind) {
    case "block":
      return `${structure.outputs}x${structure.inputs}`;
    case "n-of-m":
      return `${structure.n}:${structure.m}`;
    case "rows":
    case "columns":
      return `${structure.kind}-${structure.outputs}x${structure.columns}`;
    case "patterns":
      return `patterns-${structure.library}`;
    default:
      return structure.kind;
  }
}

/** The structure as far as a weight of this shape can have it: patterns need windows of 3×3, and n of m at least m inputs. */
export function structureFor(structure: Structure, { inputs, taps }: WeightShape): Structure {
  if (structure.kind === "patterns" && taps !== patternTaps) return unstructured;
  if (structure.kind === "n-of-m" && inputs < structure.m) return unstructured;
  return structure;
}
