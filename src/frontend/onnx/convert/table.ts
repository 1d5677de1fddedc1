import type { Converter } from "./converter.ts";
import { elementwise } from "./elementwise.ts";
import { matrix } from "./matrix.ts";
import { movement } from "./movement.ts";
import { reductions } from "./reductions.ts";
import { resizing } from "./resize.ts";
import { shapes } from "./shapes.ts";
import { windows } from "./windows.ts";

/** Every ONNX operator that can be imported, one entry a family file. */
const table: ReadonlyMap<string, Converter> = new Map([elementwise, windows, matrix, reductions, shapes, movement, resizing].flatMap((family) => Object.entries(family)));

export const importableOps: readonly string[] = [...table.keys()].sort();

export function converterFor(op: string): Converter | undefined {
  return table.get(op);
}
