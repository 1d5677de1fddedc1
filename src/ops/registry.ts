import { CadnnError } from "../errors.ts";
import { convOps } from "./conv.ts";
import type { OpDef } from "./op.ts";

/** All ops by name, one entry a family file. */
const table: ReadonlyMap<string, OpDef> = new Map([...convOps].map((op) => [op.name, op as OpDef]));

export const opNames: readonly string[] = [...table.keys()];

export function hasOp(name: string): boolean {
  return table.has(name);
}

/** Throws `E_UNSUPPORTED_OP` for an op that is not in the table. */
export function opNamed(name: string): OpDef {
  const op = table.get(name);
  if (op === undefined) throw new CadnnError("E_UNSUPPORTED_OP", `operator ${name} is not supported`);
  return op;
}
