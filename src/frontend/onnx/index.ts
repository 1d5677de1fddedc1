export { importableOps } from "./convert/table.ts";
export { type ExportOptions, exportOnnx } from "./export/export.ts";
export { type ImportOptions, importOnnx } from "./import.ts";
