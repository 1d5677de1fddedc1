import { type Target, targets } from "../codegen/target.ts";
import { type Costs, canonicalText, estimatedCosts, type Priced, parseCanonical } from "../kernels/costs.ts";
import type { KernelTemplate } from "../kernels/kernel.ts";
import { kernelTable } from "../kernels/table.ts";
import { bestCounted, farOf } from "./fitting.ts";
import { isCounted, type TuningLog, type TuningRecord } from "./log.ts";
import { calibrate } from "./measured-costs.ts";
import { arm64Records } from "./records/arm64.ts";
import { x64Records } from "./records/x64.ts";

/** The fastest choice for a problem. */
interface Shipped {
  readonly amount: number;
  /** NaN where the models' cost is to count. */
  readonly cost: number;
  readonly choice: string;
}

interface Table {
  /** By kernel, target and hash of the problem without its amount. */
  readonly problems: ReadonlyMap<string, readonly Shipped[]>;
  /** By kernel and target: how much longer the kernel takes than estimated, compared with all kernels. */
  readonly factors: ReadonlyMap<string, number>;
}

/**
 * What a tuning log knows, in few bytes: a line `KERNEL TARGET factor F` for each kernel and one `KERNEL TARGET HASH AMOUNT COST CHOICE` for each problem, with the values of its
 * best choice; COST is - where it was clocked, as planning goes by counts or models (`planningCosts`). Equal logs give equal texts.
 * Lines that do not fit the kernels as they are are never found, or name no choice of theirs.
 */
export function formatShipped(log: TuningLog): string {
  const scales = calibrate(log);
  const lines = log.records.flatMap((record) => {
    const template = kernelTable.find((t) => t.name === record.kernel);
    return template === undefined
      ? []
      : [
          `${record.kernel} ${record.target} factor ${isCounted(record) ? rounded(scales.kernel(record.kernel, record.target)) : 1}`,
          shippedLine(template, record, scales.engine(record.engine, record.target)),
        ];
  });
  return `${[...new Set(lines)].sort().join("\n")}\n`;
}

const rounded = (n: number): number => Number(n.toPrecision(4));

function shippedLine(template: KernelTemplate, record: TuningRecord, scale: number): string {
  const { kernel, target, problem: text, times } = record;
  const problem = parseCanonical(text);
  const { key, amount } = splitProblem(template, problem);
  const tried = times.map(({ choice: text, ns }) => {
    const choice = parseCanonical(text);
    return { choice, cycles: ns, far: isCounted(record) ? farOf(template, problem, choice, targets[target]) : 0 };
  });
  const best = bestCounted(template, problem, targets[target], tried);
  if (best === undefined) return "";
  return `${kernel} ${target} ${key} ${amount} ${isCounted(record) ? rounded((best.cycles + best.far) / scale) : "-"} ${valuesOf(best.choice)}`;
}

function readShipped(text: string): Table {
  const problems = new Map<string, Shipped[]>();
  const factors = new Map<string, number>();
  for (const line of text.split("\n")) {
    const [kernel, target, problem, amount, cost, choice] = line.split(" ");
    if (problem === "factor") factors.set(`${kernel} ${target}`, Number(amount));
    else if (choice !== undefined) {
      const key = `${kernel} ${target} ${problem}`;
      const list = problems.get(key) ?? [];
      problems.set(key, list);
      list.push({ amount: Number(amount), cost: Number(cost), choice });
    }
  }
  return { problems, factors };
}

/** The problem without its amount, hashed, and the amount. */
function splitProblem(template: KernelTemplate, problem: unknown): { readonly key: string; readonly amount: number } {
  const digest = (template.digest?.(problem) ?? problem) as Record<string, unknown>;
  if (template.amount === undefined) return { key: hash(canonicalText(digest)), amount: 1 };
  const { [template.amount]: amount, ...rest } = digest;
  return { key: hash(canonicalText(rest)), amount: Math.max(1, amount as number) };
}

/** The values of a choice without their names. */
const valuesOf = (choice: unknown): string =>
  canonicalText(choice)
    .replace(/"(\w+)":/g, "")
    .replaceAll('"', "");

export interface ShippedCosts extends Costs {
  /** The cheapest choice, if the problem is known with some amount. The unit are the models' cycles. */
  lookup<P, C>(template: KernelTemplate<P, C>, problem: P, target: Target): Priced<C> | undefined;
}

/** Costs by the text that `formatShipped` made: the choice of the nearest amount that is known, unless that is far away, else by the kernels' models. */
export function shippedCosts(text: string): ShippedCosts {
  let table: Table | undefined;
  const known = new Map<string, Priced<unknown> | undefined>();
  const lookup = <P, C>(template: KernelTemplate<P, C>, problem: P, target: Target): Priced<C> | undefined => {
    table ??= readShipped(text);
    if (!table.factors.has(`${template.name} ${target.name}`)) return undefined;
    const { key, amount } = splitProblem(template as KernelTemplate, problem);
    const lines = table.problems.get(`${template.name} ${target.name} ${key}`);
    const id = `${template.name} ${target.name} ${key} ${amount}`;
    if (lines !== undefined && !known.has(id)) known.set(id, nearest(template, problem, target, lines, amount));
    return lines && (known.get(id) as Priced<C> | undefined);
  };
  return {
    lookup,
    best(template, problem, target) {
      const found = lookup(template, problem, target);
      if (found !== undefined) return found;
      const estimated = estimatedCosts.best(template, problem, target);
      return estimated && { choice: estimated.choice, cost: estimated.cost * (table?.factors.get(`${template.name} ${target.name}`) ?? 1) };
    },
  };
}

/** Amounts with a greater ratio tell nothing of each other. */
const farthest = 4;

function nearest<P, C>(template: KernelTemplate<P, C>, problem: P, target: Target, lines: readonly Shipped[], amount: number): Priced<C> | undefined {
  const distance = (s: Shipped) => Math.abs(Math.log(s.amount / amount));
  const choices = new Map(template.choices(problem, target).map((c) => [valuesOf(c), c]));
  const best = lines.filter((s) => choices.has(s.choice) && distance(s) <= Math.log(farthest)).sort((a, b) => distance(a) - distance(b))[0];
  if (best === undefined) return undefined;
  const choice = choices.get(best.choice) as C;
  if (Number.isNaN(best.cost)) return { choice, cost: estimatedCosts.best(template, problem, target)?.cost ?? template.cost(problem, choice, target) };
  const reference = template.amount === undefined ? problem : { ...problem, [template.amount]: best.amount };
  return { choice, cost: (best.cost * template.cost(problem, choice, target)) / template.cost(reference, choice, target) };
}

/** What the package knows without measuring: good choices for the shapes of well-known nets, counted for phones' processors and timed on one of AMD's. */
export const defaultCosts: ShippedCosts = shippedCosts(arm64Records + x64Records);

/** 64 bits as two times FNV-1a with different seeds. */
function hash(text: string): string {
  let [a, b] = [0x811c9dc5, 0x9747b28c];
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    a = Math.imul(a ^ c, 0x01000193);
    b = Math.imul(b ^ c, 0x01000193) ^ (b >>> 15);
  }
  return (a >>> 0).toString(36) + (b >>> 0).toString(36);
}
