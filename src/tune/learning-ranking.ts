import { targets } from "../codegen/target.ts";
import { canonicalText, parseCanonical } from "../kernels/costs.ts";
import type { KernelTemplate } from "../kernels/kernel.ts";
import { kernelTable } from "../kernels/table.ts";
import { type Ranking, rankByModel } from "./candidates.ts";
import { type Counted, farOf, nearest } from "./fitting.ts";
import type { TuningRecord } from "./log.ts";

/** A ranking that gets better the more is known. */
export interface LearningRanking {
  readonly rank: Ranking;
  learn(record: TuningRecord): void;
}

interface Observation {
  readonly problem: string;
  readonly features: readonly string[];
  /** Logarithm of what was counted over the estimate without waiting for memory. */
  readonly error: number;
}

/**
 * Ranks by the kernels' models, corrected by how wrong they were for like choices of other problems: the logarithm of measured over estimated is a sum of effects of the
 * choice's properties and of pairs of them, besides one of the problem, fitted by least squares with weights that draw rare effects to 0 (ridge regression).
 */
export function createLearningRanking(): LearningRanking {
  const observations = new Map<string, Observation[]>();
  const fits = new Map<string, ReadonlyMap<string, number>>();
  const keyOf = (kernel: string, target: string) => `${kernel} ${target}`;
  return {
    learn(record) {
      const template = kernelTable.find((t) => t.name === record.kernel);
      if (template === undefined) return;
      const key = keyOf(record.kernel, record.target);
      const list = observations.get(key) ?? [];
      observations.set(key, [...list.filter((o) => o.problem !== record.problem), ...observationsOf(template, record)]);
      fits.delete(key);
    },
    rank(template, problem, target) {
      const key = keyOf(template.name, target.name);
      const known = observations.get(key);
      const ranked = rankByModel(template, problem, target);
      const effects = fits.get(key) ?? fitEffects(known ?? []);
      fits.set(key, effects);
      const expected = ranked.map((choice) => {
        const far = farOf(template, problem, choice, target);
        const effect = featuresOf(choice).reduce((sum, f) => sum + (effects.get(f) ?? 0), 0);
        return { choice, cycles: (template.cost(problem, choice, target) - far) * Math.exp(effect), far };
      });
      return inTurn(expected).map(({ choice }) => choice);
    },
  };
}

/** The best by expected counts and, of those that may be near, the best with what they wait for memory, in turn: the first tell what is near. */
function inTurn<T extends Counted>(expected: readonly T[]): readonly T[] {
  const byCounts = [...expected].sort((a, b) => a.cycles - b.cycles);
  const byAll = nearest(expected).sort((a, b) => a.cycles + a.far - b.cycles - b.far);
  return [...new Set(byCounts.flatMap((choice, i) => [choice, ...byAll.slice(i, i + 1)]))];
}

/** Nothing for records of problems that the kernel no longer knows. */
function observationsOf(template: KernelTemplate, { problem, target, times }: TuningRecord): Observation[] {
  try {
    const parsed = parseCanonical(problem);
    return times
      .map(({ choice: text, ns }): Observation => {
        const choice = parseCanonical(text);
        const estimate = template.cost(parsed, choice, targets[target]) - farOf(template, parsed, choice, targets[target]);
        return { problem, features: featuresOf(choice), error: Math.log(ns / estimate) };
      })
      .filter(({ error }) => Number.isFinite(error));
  } catch {
    return [];
  }
}

/** Larger numbers are alike if they differ by less than a fifth or so. */
const exactNumbers = 32;

/** The choice's properties, and all pairs of them. */
function featuresOf(choice: unknown): string[] {
  const single = leavesOf("", choice);
  return [...single, ...single.flatMap((a, i) => single.slice(i + 1).map((b) => `${a} ${b}`))];
}

function leavesOf(path: string, value: unknown): string[] {
  if (typeof value === "number" && value > exactNumbers) return [`${path}=2^${Math.round(3 * Math.log2(value)) / 3}`];
  if (typeof value !== "object" || value === null) return [`${path}=${canonicalText(value)}`];
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([key, v]) => leavesOf(`${path}.${key}`, v));
}

const sweeps = 12;
/** Observations that an effect of 0 counts as: of a problem, of a property, of a pair. */
const weights = { problem: 0.1, property: 1, pair: 2 } as const;

/** By one effect after another (coordinate descent). */
function fitEffects(observations: readonly Observation[]): ReadonlyMap<string, number> {
  const members = new Map<string, number[]>();
  const add = (effect: string, index: number) => {
    const list = members.get(effect);
    if (list === undefined) members.set(effect, [index]);
    else list.push(index);
  };
  observations.forEach(({ problem, features }, i) => {
    add(`problem ${problem}`, i);
    for (const feature of features) add(feature, i);
  });
  const effects = new Map([...members.keys()].map((name) => [name, 0]));
  const rest = observations.map((o) => o.error);
  for (let sweep = 0; sweep < sweeps; sweep++)
    for (const [name, indices] of members) {
      const old = effects.get(name) as number;
      const weight = name.startsWith("problem ") ? weights.problem : name.includes(" ") ? weights.pair : weights.property;
      const value = indices.reduce((sum, i) => sum + (rest[i] as number) + old, 0) / (indices.length + weight);
      for (const i of indices) rest[i] = (rest[i] as number) + old - value;
      effects.set(name, value);
    }
  return effects;
}
