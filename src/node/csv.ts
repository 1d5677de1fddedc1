import { CadnnError } from "../errors.ts";

/** Rows of RFC 4180 text: fields may be quoted, quotes doubled, line ends either kind. Empty lines are skipped. Throws `E_INVALID_DATASET`. */
export function parseCsv(text: string, name = "csv"): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let at = 0;
  while (at < text.length) {
    let field = "";
    if (text[at] === '"') {
      const parts: string[] = [];
      for (;;) {
        const end = text.indexOf('"', at + 1);
        if (end < 0) throw new CadnnError("E_INVALID_DATASET", `row ${rows.length + 1} has a quote that does not end`, { at: name, hint: 'Write a quote within a field as "".' });
        parts.push(text.slice(at + 1, end));
        at = end + 1;
        if (text[at] !== '"') break;
      }
      field = parts.join('"');
    }
    const end = indexOfAny(text, at);
    row.push(field + text.slice(at, end));
    at = end + 1;
    if (text[end] === ",") {
      if (at >= text.length) row.push("");
      else continue;
    }
    if (text[end] === "\r" && text[at] === "\n") at++;
    if (row.length > 1 || row[0] !== "") rows.push(row);
    row = [];
  }
  if (row.length > 0) rows.push(row);
  return rows;
}

/** Where the field ends that begins at `from`: the next comma or line end. */
function indexOfAny(text: string, from: number): number {
  for (let i = from; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 44 || c === 10 || c === 13) return i;
  }
  return text.length;
}

/** One labelled file. */
export interface LabelledFile {
  readonly file: string;
  readonly label: number;
}

/** Reads the columns `file` and `class` (a whole number) of a csv with a header; other columns are ignored. Throws `E_INVALID_DATASET` that names the row. */
export function readLabels(text: string, name = "csv"): LabelledFile[] {
  const invalid = (message: string, hint: string) => new CadnnError("E_INVALID_DATASET", message, { at: name, hint });
  const [header = [], ...rows] = parseCsv(text, name);
  const columns = header.map((c) => c.trim().toLowerCase());
  const [fileColumn, classColumn] = [columns.indexOf("file"), columns.indexOf("class")];
  if (fileColumn < 0 || classColumn < 0)
    throw invalid(`the header "${header.join(",")}" lacks the column ${fileColumn < 0 ? "file" : "class"}`, "The first line must name the columns file and class.");
  if (rows.length === 0) throw invalid("there are no rows", "Each row after the header names a file and its class.");
  return rows.map((row, i) => {
    const file = row[fileColumn]?.trim() ?? "";
    const label = row[classColumn]?.trim() ?? "";
    if (file === "") throw invalid(`row ${i + 2} names no file`, "Fill in the column file.");
    if (!/^\d+$/.test(label)) throw invalid(`row ${i + 2} (${file}) has the class "${label}"`, "Classes are whole numbers, the first one 0.");
    return { file, label: Number(label) };
  });
}
