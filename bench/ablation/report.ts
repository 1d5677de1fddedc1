import { formatMs, median, quantile, round } from "../../src/cli/format.ts";
import { formatTable } from "../../src/cli/table.ts";
import type { Lap } from "./race.ts";

/** One variant of a net, beside that with everything on. */
export interface AblationRow {
  readonly variant: string;
  readonly minMs: number;
  readonly medianMs: number;
  /** Between the first and the third quartile, over the median. */
  readonly spread: number;
  /** Its time over that with everything on: what the optimization gains. */
  readonly gainOfMins: number;
  readonly gainOfMedians: number;
  /** Largest difference from the outputs with everything on, over their range. */
  readonly error: number;
  readonly kernelCalls: number;
  readonly memoryBytes: number;
}

/** The first lap is that with everything on. */
export function rowsOf(laps: readonly Lap[], sizes: ReadonlyMap<string, Pick<AblationRow, "kernelCalls" | "memoryBytes">>): AblationRow[] {
  const base = laps[0] as Lap;
  return laps.map(({ name, times, output }) => ({
    variant: name,
    minMs: round(Math.min(...times)),
    medianMs: round(median(times)),
    spread: round((quantile(times, 0.75) - quantile(times, 0.25)) / median(times)),
    gainOfMins: round(Math.min(...times) / Math.min(...base.times)),
    gainOfMedians: round(median(times) / median(base.times)),
    error: errorOf(output, base.output),
    ...(sizes.get(name) as Pick<AblationRow, "kernelCalls" | "memoryBytes">),
  }));
}

function errorOf(output: Float32Array, reference: Float32Array): number {
  let [worst, low, high] = [0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const [i, b] of reference.entries()) {
    const difference = Math.abs((output[i] as number) - b);
    worst = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(worst, difference);
    [low, high] = [Math.min(low, b), Math.max(high, b)];
  }
  return output.length === reference.length ? worst / (high - low) : Number.POSITIVE_INFINITY;
}

export function tableOf(net: string, rows: readonly AblationRow[]): string {
  const right = (title: string) => ({ title, align: "right" }) as const;
  const columns = [{ title: net }, right("min"), right("median"), right("spread"), right("gain"), right("median's"), right("calls"), right("memory"), right("error")];
  return formatTable(
    columns,
    rows.map((r) => [
      r.variant,
      formatMs(r.minMs),
      formatMs(r.medianMs),
      `${Math.round(100 * r.spread)} %`,
      `${r.gainOfMins.toFixed(2)}×`,
      `${r.gainOfMedians.toFixed(2)}×`,
      r.kernelCalls,
      `${(r.memoryBytes / 1e6).toFixed(1)} MB`,
      r.error.toExponential(1),
    ]),
  );
}
