import { formatMs, median, quantile, round } from "../../src/cli/format.ts";
import { formatTable } from "../../src/cli/table.ts";
import type { BarChart } from "../chart.ts";
import type { Host } from "../host.ts";
import type { ColdRow } from "./cold.ts";
import { type Variant, variants } from "./models.ts";

/** All that was measured of one contender on one net. */
export interface Measurement {
  readonly net: string;
  readonly threads: number;
  readonly contender: string;
  readonly variant: Variant;
  /** Whose time its ratios are over. */
  readonly against: string;
  readonly engine: string;
  /** From the model in memory to ready, and the first inference after that. */
  readonly loadMs: number;
  readonly firstMs: number;
  /** One entry an inference, in the order in which they were measured. */
  readonly times: readonly number[];
  /** Largest difference from the reference's output over that output's range; undefined where there is no reference. */
  readonly error: number | undefined;
  /** Its results are approximate. */
  readonly lossy: boolean;
}

/** How many times as long as another contender. */
export interface Ratio {
  readonly ofMins: number;
  readonly ofMedians: number;
}

export interface Row extends Omit<Measurement, "times"> {
  readonly minMs: number;
  readonly medianMs: number;
  /** Between the first and the third quartile, over the median. */
  readonly spread: number;
  readonly runs: number;
  /** Over the time of `against` with the net dense and pruned, with as many threads. */
  readonly over: { readonly [V in Variant]?: Ratio };
  /** How many times as fast as with one thread, where that was measured too (in a run of its own). */
  readonly speedup: number | undefined;
}

/** Largest difference of two outputs, over the range of the reference. */
export function relativeError(output: readonly number[], reference: readonly number[]): number {
  if (output.length !== reference.length) return Number.POSITIVE_INFINITY;
  let [least, most, off] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];
  reference.forEach((expected, i) => {
    least = Math.min(least, expected);
    most = Math.max(most, expected);
    const difference = Math.abs((output[i] as number) - expected);
    // A NaN is as wrong as can be.
    off = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(off, difference);
  });
  return off / (most - least || 1);
}

const least = (values: readonly number[]) => Math.min(...values);

/** Adds statistics, and ratios to those that each is compared with. */
export function rowsOf(measurements: readonly Measurement[]): Row[] {
  return measurements.map((m) => {
    const over = Object.fromEntries(
      variants.flatMap((variant) => {
        const base = measurements.find((b) => b.net === m.net && b.threads === m.threads && b.contender === m.against && b.variant === variant);
        if (base === undefined || base === m) return [];
        const ratio: Ratio = { ofMins: round(least(m.times) / least(base.times)), ofMedians: round(median(m.times) / median(base.times)) };
        return [[variant, ratio]];
      }),
    ) as Row["over"];
    const { times, ...rest } = m;
    const alone = m.threads === 1 ? undefined : measurements.find((b) => b.net === m.net && b.threads === 1 && b.contender === m.contender && b.variant === m.variant);
    return {
      ...rest,
      loadMs: round(m.loadMs),
      firstMs: round(m.firstMs),
      minMs: round(least(times)),
      medianMs: round(median(times)),
      spread: round((quantile(times, 0.75) - quantile(times, 0.25)) / median(times)),
      runs: times.length,
      over,
      speedup: alone === undefined ? undefined : round(least(alone.times) / least(times)),
    };
  });
}

/** The contenders of one net with one number of threads, or the cold starts of a net. */
export interface PeersRun {
  /** `engine`: those of all contenders. */
  readonly host: Host;
  readonly net: string;
  readonly threads: number;
  readonly variants: readonly Variant[];
  readonly rounds: number;
  readonly runs: number;
  readonly rows: readonly Row[];
  /** For each row its inferences in milliseconds, in order. */
  readonly times: readonly (readonly number[])[];
  readonly cold: readonly ColdRow[];
}

/** Which earlier run a run takes the place of. */
export const keyOf = ({ net, threads, variants, cold }: PeersRun): string => `${net} ${threads} ${variants.join()} ${cold.length > 0 ? "cold" : ""}`;

/** Bars for all but cadnn itself: how many times as long they take as cadnn with the pruned net, or the dense one where there is no other. */
export function chartGroups(runs: readonly PeersRun[]): BarChart["groups"] {
  return runs.flatMap(({ net, threads, rows }) => {
    const variant = rows.some((row) => row.over.sparse !== undefined) ? "sparse" : "dense";
    const base = rows.find((row) => row.contender === row.against && row.variant === variant);
    if (base === undefined) return [];
    const bars = rows.flatMap((row) => {
      const ratio = row.over[variant]?.ofMins;
      return ratio === undefined ? [] : [{ name: `${row.contender}, ${row.variant}`, value: ratio, label: `${ratio.toFixed(2)}× (${formatMs(row.minMs)})` }];
    });
    return [{ name: `${net}, ${threads} thread${threads === 1 ? "" : "s"}: cadnn ${variant} takes ${formatMs(base.minMs)}`, bars }];
  });
}

const right = (title: string) => ({ title, align: "right" }) as const;
const times = (ratio: number | undefined) => (ratio === undefined ? undefined : `${ratio.toFixed(2)}×`);

/** One line a row; a ratio above 1 says that the contender is so many times as slow as cadnn. */
export function tableOf(rows: readonly Row[]): string {
  return formatTable(
    [
      ...[{ title: "net" }, right("threads"), { title: "contender" }, { title: "weights" }, right("min"), right("median"), right("spread")],
      ...variants.flatMap((variant) => [right(`min / cadnn ${variant}`), right("median")]),
      ...["1 thread / this", "error", "load", "first"].map(right),
    ],
    rows.map((r, i) => {
      const before = rows[i - 1];
      const sameNet = r.net === before?.net;
      return [
        sameNet ? "" : r.net,
        sameNet && r.threads === before?.threads ? "" : r.threads,
        r.contender,
        r.variant,
        formatMs(r.minMs),
        formatMs(r.medianMs),
        `${Math.round(100 * r.spread)} %`,
        ...variants.flatMap((variant) => [times(r.over[variant]?.ofMins), times(r.over[variant]?.ofMedians)]),
        times(r.speedup),
        r.error?.toExponential(1),
        formatMs(r.loadMs),
        formatMs(r.firstMs),
      ];
    }),
  );
}
