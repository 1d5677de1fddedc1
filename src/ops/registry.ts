import { CadnnError } from "../errors.ts";
import { batchNormOps } from "./batch-norm.ts";
import { convOps } from "./conv.ts";
import { convTransposeOps } from "./conv-transpose.ts";
import { Dilate } from "./dilate.ts";
import { elementwiseOps } from "./elementwise.ts";
import { gemmOps } from "./gemm.ts";
import { normalizationOps } from "./normalization.ts";
import type { OpDef } from "./op.ts";
import { padOps } from "./pad.ts";
import { PixelsToPlanes } from "./pixels.ts";
import { poolOps } from "./pool.ts";
import { reduceOps } from "./reduce.ts";
import { resizeOps } from "./resize.ts";
import { shapeOps } from "./shape.ts";
import { softmaxOps } from "./softmax.ts";
import { sparseOps } from "./sparse.ts";

const families: readonly (readonly OpDef[])[] = [
  convOps as readonly OpDef[],
  convTransposeOps as readonly OpDef[],
  gemmOps as readonly OpDef[],
  batchNormOps as readonly OpDef[],
  elementwiseOps,
  [Dilate as OpDef, PixelsToPlanes as OpDef],
  poolOps as readonly OpDef[],
  reduceOps,
  softmaxOps,
  shapeOps as readonly OpDef[],
  padOps as readonly OpDef[],
  resizeOps as readonly OpDef[],
  normalizationOps as readonly OpDef[],
  sparseOps as readonly OpDef[],
];

/** All ops by name, one entry a family file. */
const table: ReadonlyMap<string, OpDef> = new Map(families.flat().map((op) => [op.name, op]));

export const opNames: readonly string[] = [...table.keys()];

export function hasOp(name: string): boolean {
  return table.has(name);
}

/** Throws `E_UNSUPPORTED_OP` for an op that is not in the table. */
export function opNamed(name: string): OpDef {
  const op = table.get(name);
  if (op === undefined) throw new CadnnError("E_UNSUPPORTED_OP", `operator ${name} is not supported`, { hint: "`opNames` lists those that are." });
  return op;
}
