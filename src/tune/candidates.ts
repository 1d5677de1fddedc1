import type { Target } from "../codegen/target.ts";
import type { Graph } from "../ir/graph.ts";
import { type Costs, canonicalText, type Priced } from "../kernels/costs.ts";
import type { KernelTemplate } from "../kernels/kernel.ts";
import { lower } from "../lower/index.ts";
import type { KernelCall, PrepareTask } from "../lower/kernel-graph.ts";
import { problemText } from "./log.ts";

/** One choice for one problem, as a call of a lowered net with the net's own weights. */
export interface Candidate {
  readonly target: Target;
  readonly call: KernelCall;
  /** How the call's weights are made. */
  readonly prepare: readonly PrepareTask[];
  /** Canonical text of the choice. */
  readonly choice: string;
}

/** A problem of a net, and the choices for it that are worth measuring, best guess first. */
export interface Task {
  readonly template: KernelTemplate;
  readonly problem: unknown;
  /** Kernel and canonical text of the problem. */
  readonly key: string;
  readonly space: number;
  /** Estimated cycles of all calls of the net. */
  readonly weight: number;
  readonly choices: readonly unknown[];
}

export const taskKey = <P, C>(template: KernelTemplate<P, C>, problem: P): string => `${template.name} ${problemText(template, problem)}`;

/** Ranks the choices for a problem, best guess first. */
export type Ranking = (template: KernelTemplate, problem: unknown, target: Target) => readonly unknown[];

const leastShare = 0.003;

/** By the kernel's cost model; equal choices count once. */
export const rankByModel: Ranking = (template, problem, target) => {
  const choices = new Map(template.choices(problem, target).map((choice) => [canonicalText(choice), choice]));
  return [...choices.values()]
    .map((choice) => ({ choice, cost: template.cost(problem, choice, target) }))
    .sort((a, b) => a.cost - b.cost)
    .map(({ choice }) => choice);
};

/**
 * The problems of the calls that lowering chooses by these costs, the most expensive ones first. Of problems with one choice only, whose times tell where copies
 * are worth it, those that take next to nothing of the net's time are left out.
 */
export function tasksOf(graph: Graph, target: Target, costs: Costs, count: (space: number) => number, rank: Ranking): Task[] {
  const tasks = new Map<string, Task>();
  for (const { template, problem, repeat } of lower(graph, target, { costs }).calls) {
    const key = taskKey(template, problem);
    const known = tasks.get(key);
    const weight = (known?.weight ?? 0) + (costs.best(template, problem, target)?.cost ?? 0) * (repeat?.count ?? 1);
    if (known !== undefined) {
      tasks.set(key, { ...known, weight });
      continue;
    }
    const ranked = rank(template, problem, target);
    tasks.set(key, { template, problem, key, space: ranked.length, weight, choices: ranked.slice(0, count(ranked.length)) });
  }
  const list = [...tasks.values()];
  const total = list.reduce((sum, task) => sum + task.weight, 0);
  return list.filter((task) => task.space > 1 || task.weight >= leastShare * total).sort((a, b) => b.weight - a.weight);
}

/**
 * The candidates of all tasks: the net is lowered once with everybody's first choice, once with everybody's second, and so on, so that lowering alone
 * knows how a choice wants its weights.
 */
export function candidatesOf(graph: Graph, target: Target, costs: Costs, tasks: readonly Task[]): Map<Task, Candidate[]> {
  const candidates = new Map(tasks.map((task) => [task, [] as Candidate[]]));
  const byKey = new Map(tasks.map((task) => [task.key, task]));
  const most = Math.max(0, ...tasks.map((task) => task.choices.length));
  for (let i = 0; i < most; i++) {
    const { calls, prepare } = lower(graph, target, { costs: forced(costs, (key) => byKey.get(key)?.choices[i]) });
    for (const call of calls) {
      const task = byKey.get(taskKey(call.template, call.problem));
      const list = task === undefined ? undefined : candidates.get(task);
      const choice = canonicalText(call.choice);
      if (task === undefined || list === undefined || i >= task.choices.length || list.some((c) => c.choice === choice)) continue;
      const buffers = new Set(call.operands.map((place) => place.buffer));
      list.push({ target, call, prepare: prepare.filter((p) => buffers.has(p.to)), choice });
    }
  }
  return candidates;
}

/** The same costs, so that lowering decides as before, but other choices for some problems. */
export function forced(costs: Costs, choiceOf: (key: string) => unknown): Costs {
  return {
    best<P, C>(template: KernelTemplate<P, C>, problem: P, target: Target): Priced<C> | undefined {
      const best = costs.best(template, problem, target);
      const choice = choiceOf(taskKey(template, problem)) as C | undefined;
      return best === undefined || choice === undefined ? best : { ...best, choice };
    },
  };
}
