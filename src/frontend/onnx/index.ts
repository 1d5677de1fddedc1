export { importableOps } from "./convert/table.ts";
export { type ImportOptions, importOnnx } from "./import.ts";
