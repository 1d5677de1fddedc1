const units = ["", " k", " M", " G", " T"] as const;

/** Three or four digits and a unit: 4.089 G, 25.56 M, 812. */
export function formatCount(value: number): string {
  let unit = 0;
  let scaled = value;
  while (Math.abs(scaled) >= 999.95 && unit < units.length - 1) {
    scaled /= 1000;
    unit++;
  }
  return unit === 0 ? String(value) : `${scaled.toPrecision(4)}${units[unit]}`;
}

/** Powers of 1000, as disks and downloads count. */
export function formatBytes(bytes: number): string {
  const text = formatCount(bytes);
  return text.includes(" ") ? `${text}B` : `${text} B`;
}

export function formatMs(ms: number): string {
  return ms >= 1000 ? `${(ms / 1000).toFixed(2)} s` : `${ms.toPrecision(ms >= 100 ? 4 : 3)} ms`;
}

export function formatPercent(share: number): string {
  return `${(100 * share).toFixed(share < 0.1 ? 2 : 1)} %`;
}

/** h:mm:ss or m:ss. */
export function formatDuration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  const two = (n: number) => String(n).padStart(2, "0");
  return s >= 3600 ? `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`;
}

/** For JSON: `digits` decimals are enough for anyone who reads it. */
export function round(value: number, digits = 3): number {
  return Number(value.toFixed(digits));
}

/** The middle of the sorted values; of the two in the middle, their mean. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** The value that `share` of the values do not exceed. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] as number;
}
