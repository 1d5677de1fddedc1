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

/** Lines over a logarithmic x axis, in panels side by side. */
export interface LineChart {
  readonly title: string;
  /** What the axes mean. */
  readonly x: string;
  readonly y: string;
  readonly panels: readonly {
    readonly name: string;
    readonly lines: readonly { readonly name: string; readonly points: readonly { readonly x: number; readonly y: number }[] }[];
  }[];
}

const panel = { width: 380, height: 260, left: 50, top: 80, gap: 70 } as const;

/** An SVG document. Lines of equal names have equal colours. */
export function lineChart({ title, x, y, panels }: LineChart): string {
  const all = panels.flatMap((p) => p.lines.flatMap((l) => l.points));
  const [low, high] = [Math.min(...all.map((p) => p.x)), Math.max(...all.map((p) => p.x))];
  const top = Math.max(...all.map((p) => p.y)) * 1.05;
  const names = [...new Set(panels.flatMap((p) => p.lines.map((l) => l.name)))];
  const colorOf = (name: string) => colors[names.indexOf(name) % colors.length];
  const parts: string[] = [];
  const text = (tx: number, ty: number, content: string, attributes = "") => parts.push(`<text x="${tx.toFixed(1)}" y="${ty.toFixed(1)}" ${attributes}>${escaped(content)}</text>`);
  text(10, 24, title, 'font-size="15" font-weight="bold"');
  text(10, 42, `${y}; across: ${x}`, 'fill="#555"');
  panels.forEach(({ name, lines }, i) => {
    const left = panel.left + i * (panel.width + panel.gap);
    const atX = (v: number) => left + (Math.log(v / low) / Math.log(high / low)) * panel.width;
    const atY = (v: number) => panel.top + panel.height * (1 - v / top);
    text(left, panel.top - 12, name, 'font-weight="bold"');
    for (const v of [0, 0.25, 0.5, 0.75, 1].filter((tick) => tick <= top)) {
      parts.push(`<line x1="${left}" x2="${left + panel.width}" y1="${atY(v).toFixed(1)}" y2="${atY(v).toFixed(1)}" stroke="${v === 1 ? "#999" : "#e5e5e5"}"/>`);
      text(left - 6, atY(v) + 4, v.toString(), 'text-anchor="end" fill="#555"');
    }
    for (const v of [0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1].filter((tick) => tick >= low * 0.999 && tick <= high * 1.001)) {
      parts.push(`<line x1="${atX(v).toFixed(1)}" x2="${atX(v).toFixed(1)}" y1="${panel.top}" y2="${panel.top + panel.height}" stroke="#f0f0f0"/>`);
      text(atX(v), panel.top + panel.height + 16, v.toString(), 'text-anchor="middle" fill="#555"');
    }
    for (const line of lines) {
      const points = line.points.map((p) => `${atX(p.x).toFixed(1)},${atY(p.y).toFixed(1)}`).join(" ");
      parts.push(`<polyline points="${points}" fill="none" stroke="${colorOf(line.name)}" stroke-width="1.6"/>`);
    }
  });
  names.forEach((name, i) => {
    const [column, row] = [i % 4, Math.floor(i / 4)];
    const [lx, ly] = [panel.left + column * 190, panel.top + panel.height + 40 + row * 18];
    parts.push(`<rect x="${lx}" y="${ly - 9}" width="10" height="10" fill="${colorOf(name)}"/>`);
    text(lx + 15, ly, name);
  });
  const width = panel.left + panels.length * (panel.width + panel.gap);
  const height = panel.top + panel.height + 50 + Math.ceil(names.length / 4) * 18;
  const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="sans-serif" font-size="12">`;
  return `${head}\n<rect width="100%" height="100%" fill="white"/>\n${parts.join("\n")}\n</svg>\n`;
}
