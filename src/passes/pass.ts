import type { Graph } from "../ir/graph.ts";
import { applyRules, type Rule } from "./rewrite.ts";

/** One step of the optimizer: gives a graph that computes the same outputs. */
export interface Pass {
  /** Verb-object, as users name it in `--after` and `--disable`. */
  readonly name: string;
  run(graph: Graph): Graph;
}

/** The pass that applies rules until none fires. */
export function rulePass(name: string, rules: readonly Rule[]): Pass {
  return { name, run: (graph) => applyRules(graph, rules) };
}
