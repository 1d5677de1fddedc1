import type { Row } from "./report.ts";

const width = 900;
const barsAt = 270;
const barsWidth = 430;
const barHeight = 16;
const step = 22;
const colors = { cadnn: { dense: "#7aa6d8", sparse: "#1f5fa8" }, others: { dense: "#c9c9c9", sparse: "#a5a5a5" } } as const;

const escapeText = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const fixed = (value: number): string => value.toFixed(1);

/** Bars as long as minima, a tick at each median; one panel for each net and number of threads, each with its own scale from 0. */
export function chartOf(rows: readonly Row[], caption: string): string {
  const titleOf = (row: Row): string => `${row.net}, ${row.threads} thread${row.threads === 1 ? "" : "s"}`;
  const panels = [...new Set(rows.map(titleOf))].map((title) => ({ title, panel: rows.filter((row) => titleOf(row) === title) }));
  const parts: string[] = [];
  const text = (x: number, y: number, content: string, attributes = ""): void =>
    void parts.push(`<text x="${fixed(x)}" y="${fixed(y)}" ${attributes}>${escapeText(content)}</text>`);
  let y = 24;
  for (const { title, panel } of panels) {
    text(16, y, title, `font-weight="600" font-size="14"`);
    text(barsAt + barsWidth + 100, y, "÷ cadnn dense", `text-anchor="end" fill="#666"`);
    text(width - 12, y, "÷ cadnn sparse", `text-anchor="end" fill="#666"`);
    y += 10;
    const scale = (0.86 * barsWidth) / Math.max(...panel.map((row) => row.minMs));
    for (const row of panel) {
      const length = Math.min(barsWidth, row.minMs * scale);
      const fill = (row.contender.startsWith("cadnn") ? colors.cadnn : colors.others)[row.variant];
      const middle = y + barHeight / 2;
      text(barsAt - 8, middle + 4, `${row.contender}, ${row.variant}`, `text-anchor="end"`);
      parts.push(`<rect x="${barsAt}" y="${fixed(y)}" width="${fixed(length)}" height="${barHeight}" fill="${fill}"/>`);
      const at = barsAt + Math.min(barsWidth, row.medianMs * scale);
      parts.push(`<line x1="${fixed(at)}" x2="${fixed(at)}" y1="${fixed(y)}" y2="${fixed(y + barHeight)}" stroke="#333" stroke-width="1.5"/>`);
      const inside = length > 60;
      text(
        inside ? barsAt + 6 : Math.max(at, barsAt + length) + 6,
        middle + 4,
        `${row.minMs.toPrecision(3)} ms`,
        inside && row.contender.startsWith("cadnn") && row.variant === "sparse" ? `fill="#fff"` : "",
      );
      for (const [x, ratio] of [
        [barsAt + barsWidth + 100, row.over.dense],
        [width - 12, row.over.sparse],
      ] as const)
        if (ratio !== undefined) text(x, middle + 4, `${ratio.ofMins.toFixed(2)}×`, `text-anchor="end"`);
      y += step;
    }
    y += 30;
  }
  text(16, y, caption, `fill="#666"`);
  const height = y + 16;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="12" fill="#222">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}
