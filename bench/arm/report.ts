import { round } from "../../src/cli/format.ts";
import { formatTable } from "../../src/cli/table.ts";
import { type Core, coreNames } from "../../src/node/arm64/index.ts";
import type { BarChart } from "../chart.ts";
import type { Host } from "../host.ts";
import { type Bar, isMet } from "./bars.ts";
import { largestError } from "./limits.ts";
import type { Measurement } from "./measure.ts";

export interface ArmRun {
  /** `engine`: what was emulated. */
  readonly host: Host;
  readonly measurements: readonly Measurement[];
  readonly bars: readonly Bar[];
}

const right = (title: string) => ({ title, align: "right" }) as const;
const millions = (value: number): string => (value / 1e6).toFixed(value < 1e8 ? 1 : 0);

/** Figures in millions; in brackets what the execution units alone take. */
export function tableOf(measurements: readonly Measurement[]): string {
  return formatTable(
    [{ title: "net" }, { title: "contender" }, { title: "weights" }, right("instructions"), ...coreNames.map((core) => right(core.toUpperCase())), right("error")],
    measurements.map((m, i) => [
      m.net === measurements[i - 1]?.net ? "" : m.net,
      m.contender,
      m.variant,
      millions(m.instructions),
      ...coreNames.map((core) => `${millions(m.cycles[core])} (${millions(m.bound[core])})`),
      Number.isNaN(m.error) ? "" : `${m.error.toExponential(1)}${isLossy(m) || m.error <= largestError ? "" : " !"}`,
    ]),
  );
}

/** int8 nets approximate; all others must agree with what is expected. */
export const isLossy = ({ contender }: Measurement): boolean => contender === "litert-int8";

export function barTableOf(bars: readonly Bar[]): string {
  const show = (value: number | undefined, unit: Bar["unit"]) => (value === undefined ? "" : unit === "×" ? `${value.toFixed(2)}×` : `${value.toFixed(1)} M`);
  const marks = { true: "met", false: "missed", undefined: "not measured" } as const;
  return formatTable(
    [{ title: "bar" }, { title: "net" }, { title: "core" }, right("is"), right("wanted"), { title: "" }],
    bars.map((bar, i) => [
      bar.what === bars[i - 1]?.what ? "" : bar.what,
      bar.what === bars[i - 1]?.what && bar.net === bars[i - 1]?.net ? "" : bar.net,
      bar.core.toUpperCase(),
      show(bar.value, bar.unit),
      `${bar.atMost === true ? "≤" : "≥"} ${show(bar.limit, bar.unit)}`,
      marks[`${isMet(bar)}`],
    ]),
  );
}

/** For each net and core: how many times as many cycles as cadnn with the pruned weights. */
export function chartOf(measurements: readonly Measurement[], cores: readonly Core[] = ["a55", "a76", "x1"]): BarChart {
  const nets = [...new Set(measurements.map((m) => m.net))];
  const groups = nets.flatMap((net) =>
    cores.flatMap((core) => {
      const own = measurements.filter((m) => m.net === net);
      const base = own.find((m) => m.contender === "cadnn" && m.variant === "sparse") ?? own.find((m) => m.contender === "cadnn");
      if (base === undefined) return [];
      const bars = own
        .filter((m) => m !== base)
        .map((m) => {
          const value = round(m.cycles[core] / base.cycles[core], 2);
          return { name: `${m.contender}, ${m.variant}`, value, label: `${value.toFixed(2)}× (${millions(m.cycles[core])} M)` };
        });
      return [{ name: `${net} on ${core.toUpperCase()}: cadnn ${base.variant} takes ${millions(base.cycles[core])} million cycles`, bars }];
    }),
  );
  return { title: "Cycles on ARM64, one thread, estimated", unit: "Times as many as cadnn with pruned weights, by LLVM's models of the cores; without caches and memory", groups };
}
