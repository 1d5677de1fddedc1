export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
}

/** Aligned columns, titles and a rule on top. Cells that are `undefined` stay empty. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly (string | number | undefined)[])[]): string {
  const cells = rows.map((row) => columns.map((_, i) => (row[i] === undefined ? "" : String(row[i]))));
  const widths = columns.map(({ title }, i) => Math.max(title.length, ...cells.map((row) => (row[i] as string).length)));
  const line = (row: readonly string[]) =>
    columns
      .map(({ align }, i) => (align === "right" ? (row[i] as string).padStart(widths[i] as number) : (row[i] as string).padEnd(widths[i] as number)))
      .join("  ")
      .trimEnd();
  return [line(columns.map((c) => c.title)), line(widths.map((w) => "─".repeat(w))), ...cells.map(line)].join("\n");
}

/** Names and values in two aligned columns. */
export function formatPairs(pairs: readonly (readonly [name: string, value: string | number | undefined])[]): string {
  const known = pairs.filter(([, value]) => value !== undefined);
  const width = Math.max(...known.map(([name]) => name.length));
  return known.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join("\n");
}
