import type { TargetName } from "../artifact/manifest.ts";
import { targetNames } from "../artifact/validate.ts";
import { CadnnError } from "../errors.ts";
import { canonicalText, parseCanonical } from "../kernels/costs.ts";
import type { KernelTemplate } from "../kernels/kernel.ts";

/** What was measured for one problem on one engine: all times come from one interleaved run. */
export interface TuningRecord {
  /** Name of a row of the kernel table. */
  readonly kernel: string;
  /** Canonical text of the problem's digest. */
  readonly problem: string;
  readonly target: TargetName;
  /** Fingerprint of the engine and the processor; see `engineFingerprint`. */
  readonly engine: string;
  /** Number of choices that there were. */
  readonly space: number;
  /** Canonical text of each choice that was measured, and its least time in nanoseconds, fastest first. */
  readonly times: readonly Timing[];
  /** Whether the choices took turns in the net; then those that did not are missing, and times are on the scale of those measured alone. */
  readonly inNet?: boolean;
}

export interface Timing {
  readonly choice: string;
  readonly ns: number;
}

/** Measurements of any nets, engines and targets. As text: JSON lines, one record a line; later lines replace earlier ones of the same problem. */
export interface TuningLog {
  readonly records: readonly TuningRecord[];
}

export const emptyLog: TuningLog = { records: [] };

/** Whether a record holds cycles that were counted in emulation, in which memory has no part, and not times. */
export const isCounted = ({ engine }: Pick<TuningRecord, "engine">): boolean => /\/llvm-\d+\//.test(engine);

/** The text that stands for a problem in logs. */
export const problemText = <P, C>(template: KernelTemplate<P, C>, problem: P): string => canonicalText(template.digest?.(problem) ?? problem);

/** The key that two records of the same measurement share. */
export const recordKey = (record: Pick<TuningRecord, "kernel" | "problem" | "target" | "engine">): string => `${record.kernel} ${record.target} ${record.engine} ${record.problem}`;

/** All records of several logs; of records with the same key the last stays. */
export function mergeLogs(...logs: readonly TuningLog[]): TuningLog {
  const records = new Map<string, TuningRecord>();
  for (const log of logs)
    for (const record of log.records) {
      const key = recordKey(record);
      records.delete(key);
      records.set(key, record);
    }
  return { records: [...records.values()] };
}

const version = 1;

/** One line of a log, with its end. */
export function formatRecord({ kernel, problem, target, engine, space, times, inNet }: TuningRecord): string {
  const timings = times.map(({ choice, ns }) => `{"ns":${ns},"choice":${choice}}`).join(",");
  return `{"v":${version},"kernel":${JSON.stringify(kernel)},"target":"${target}","engine":${JSON.stringify(engine)},"space":${space}${inNet === true ? ',"inNet":true' : ""},"problem":${problem},"times":[${timings}]}\n`;
}

export const formatLog = (log: TuningLog): string => log.records.map(formatRecord).join("");

/**
 * Reads a log. A last line that was cut, as a process leaves it that was killed while writing, is dropped; another damaged line throws `E_CORRUPT`,
 * one of another version `E_UNSUPPORTED_VERSION`, each with the number of the line.
 */
export function parseTuningLog(text: string): TuningLog {
  const lines = text.split("\n");
  const records = lines.flatMap((line, i) => {
    if (line.trim() === "") return [];
    let value: unknown;
    try {
      value = parseCanonical(line);
    } catch (cause) {
      if (i === lines.length - 1) return [];
      throw corrupt(i, "it is no JSON", cause);
    }
    return [readRecord(value, i)];
  });
  return mergeLogs({ records });
}

function readRecord(value: unknown, line: number): TuningRecord {
  if (typeof value !== "object" || value === null) throw corrupt(line, "it is no object");
  const { v, kernel, problem, target, engine, space, times, inNet } = value as Record<string, unknown>;
  if (v !== version) {
    const hint = "Tune anew with this version of cadnn.";
    throw new CadnnError("E_UNSUPPORTED_VERSION", `the record's version is ${String(v)}, this is ${version}`, { at: `line ${line + 1} of the tuning log`, hint });
  }
  if (typeof kernel !== "string" || typeof engine !== "string") throw corrupt(line, "kernel or engine is missing");
  if (!targetNames.includes(target as TargetName)) throw corrupt(line, `there is no target ${String(target)}`);
  if (typeof space !== "number" || problem === undefined || !Array.isArray(times)) throw corrupt(line, "space, problem or times is missing");
  const timings = times.map((t: unknown): Timing => {
    const { ns, choice } = (typeof t === "object" && t !== null ? t : {}) as Record<string, unknown>;
    if (typeof ns !== "number" || !(ns > 0 && ns < Number.POSITIVE_INFINITY) || choice === undefined) throw corrupt(line, "a time is no positive number of nanoseconds");
    return { choice: canonicalText(choice), ns };
  });
  return { kernel, problem: canonicalText(problem), target: target as TargetName, engine, space, times: timings, ...(inNet === true ? { inNet } : {}) };
}

function corrupt(line: number, why: string, cause?: unknown): CadnnError {
  return new CadnnError("E_CORRUPT", `this line is damaged: ${why}`, { at: `line ${line + 1} of the tuning log`, hint: "Delete the line; what it held is measured again.", cause });
}
