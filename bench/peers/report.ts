import { formatMs, median, quantile, round } from "../../src/cli/format.ts";
import { formatTable } from "../../src/cli/table.ts";

/** All that was measured of one contender on one net. */
export interface Measurement {
  readonly net: string;
  readonly contender: string;
  readonly threads: number;
  /** From ONNX bytes to ready. */
  readonly loadMs: number;
  readonly firstMs: number;
  /** One entry an inference, in the order in which they were measured. */
  readonly times: readonly number[];
  /** Largest difference from the reference's output over that output's range. */
  readonly error: number;
}

export interface Row extends Omit<Measurement, "times"> {
  readonly minMs: number;
  readonly medianMs: number;
  /** Between the first and the third quartile, over the median. */
  readonly spread: number;
  readonly runs: number;
  /** This contender's time over that of `subject` with as many threads. */
  readonly ratioOfMins: number | undefined;
  readonly ratioOfMedians: number | undefined;
}

/** Largest difference of two outputs, over the range of the reference. */
export function relativeError(output: Float32Array, reference: Float32Array): number {
  if (output.length !== reference.length) return Number.POSITIVE_INFINITY;
  let difference = 0;
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < reference.length; i++) {
    const [a, b] = [output[i] as number, reference[i] as number];
    if (!Number.isFinite(a)) return Number.POSITIVE_INFINITY;
    difference = Math.max(difference, Math.abs(a - b));
    [low, high] = [Math.min(low, b), Math.max(high, b)];
  }
  return difference / (high - low);
}

export function rowsOf(measurements: readonly Measurement[], subject: string): Row[] {
  return measurements.map(({ times, ...m }) => {
    const base = measurements.find((o) => o.net === m.net && o.threads === m.threads && o.contender === subject)?.times;
    const ratio = (of: (values: readonly number[]) => number) => (base === undefined || m.contender === subject ? undefined : round(of(times) / of(base)));
    const least = (values: readonly number[]) => Math.min(...values);
    return {
      ...m,
      loadMs: round(m.loadMs),
      firstMs: round(m.firstMs),
      minMs: round(least(times)),
      medianMs: round(median(times)),
      spread: round((quantile(times, 0.75) - quantile(times, 0.25)) / median(times)),
      runs: times.length,
      ratioOfMins: ratio(least),
      ratioOfMedians: ratio(median),
    };
  });
}

export function tableOf(rows: readonly Row[], subject: string): string {
  const right = (title: string) => ({ title, align: "right" }) as const;
  return formatTable(
    [
      { title: "net" },
      { title: "contender" },
      right("threads"),
      right("min"),
      right("median"),
      right("spread"),
      right(`min / ${subject}`),
      right(`median / ${subject}`),
      right("error"),
      right("load"),
    ],
    rows.map((r, i) => [
      r.net === rows[i - 1]?.net ? "" : r.net,
      r.contender,
      r.threads,
      formatMs(r.minMs),
      formatMs(r.medianMs),
      `${Math.round(100 * r.spread)} %`,
      r.ratioOfMins === undefined ? undefined : `${r.ratioOfMins.toFixed(2)}×`,
      r.ratioOfMedians === undefined ? undefined : `${r.ratioOfMedians.toFixed(2)}×`,
      r.error.toExponential(1),
      formatMs(r.loadMs),
    ]),
  );
}
