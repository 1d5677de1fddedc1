/** Horizontal bars in groups. */
export interface BarChart {
  readonly title: string;
  /** What a bar's length means, in a few words. */
  readonly unit: string;
  readonly groups: readonly { readonly name: string; readonly bars: readonly { readonly name: string; readonly value: number; readonly label: string }[] }[];
}

const colors = ["#3b6ea8", "#c8553d", "#5b8c5a", "#8d6a9f", "#d49a3a", "#4f9d9d", "#777777", "#a83b6e"];
const bar = { height: 14, gap: 3, left: 190, width: 560 } as const;
const escaped = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");

/** An SVG document. Bars of equal names have equal colours; a line stands at 1 where values pass it. */
export function barChart({ title, unit, groups }: BarChart): string {
  const names = [...new Set(groups.flatMap((g) => g.bars.map((b) => b.name)))];
  const largest = Math.max(...groups.flatMap((g) => g.bars.map((b) => b.value)));
  const scale = bar.width / largest;
  const parts: string[] = [];
  const text = (x: number, y: number, content: string, attributes = "") => parts.push(`<text x="${x}" y="${y}" ${attributes}>${escaped(content)}</text>`);
  text(10, 24, title, 'font-size="15" font-weight="bold"');
  text(10, 42, unit, 'fill="#555"');
  let y = 62;
  for (const group of groups) {
    text(10, y + 11, group.name, 'font-weight="bold"');
    y += 18;
    for (const { name, value, label } of group.bars) {
      const width = (value * scale).toFixed(1);
      text(bar.left - 6, y + 11, name, 'text-anchor="end"');
      parts.push(`<rect x="${bar.left}" y="${y}" width="${width}" height="${bar.height}" fill="${colors[names.indexOf(name) % colors.length]}"/>`);
      text(bar.left + value * scale + 5, y + 11, label, 'fill="#333"');
      y += bar.height + bar.gap;
    }
    y += 10;
  }
  if (largest > 1) parts.push(`<line x1="${bar.left + scale}" x2="${bar.left + scale}" y1="56" y2="${y - 10}" stroke="#999" stroke-dasharray="3 3"/>`);
  const width = bar.left + bar.width + 130;
  const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y}" width="${width}" height="${y}" font-family="sans-serif" font-size="12">`;
  return `${head}\n<rect width="100%" height="100%" fill="white"/>\n${parts.join("\n")}\n</svg>\n`;
}
