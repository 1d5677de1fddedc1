import { type Target, targets } from "../../src/codegen/target.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { printGraph } from "../../src/ir/print.ts";
import type { Tensor } from "../../src/ir/types.ts";
import { type LowerOptions, lower } from "../../src/lower/index.ts";
import { interpret } from "../../src/ops/interpret.ts";
import { optimize } from "../../src/passes/index.ts";
import { Machine, orders } from "./machine.ts";

/** Largest error, as a part of the expected range (at least `floor`); integers must agree. Equal infinities and two NaNs are no error. */
export function errorOf(actual: Tensor | undefined, expected: Tensor, floor = 1e-3): number {
  if (actual?.dtype !== expected.dtype || actual.shape.join() !== expected.shape.join()) return Number.POSITIVE_INFINITY;
  let range = floor;
  let worst = 0;
  for (let i = 0; i < expected.data.length; i++) {
    const [a, b] = [Number(actual.data[i]), Number(expected.data[i])];
    if (Number.isFinite(b)) range = Math.max(range, Math.abs(b));
    if (a !== b && !(Number.isNaN(a) && Number.isNaN(b))) worst = Math.max(worst, Number.isFinite(a) && Number.isFinite(b) ? Math.abs(a - b) : Number.POSITIVE_INFINITY);
  }
  return expected.dtype === "float32" ? worst / range : worst;
}

/** Throws, showing the graph, unless generated kernels compute what the reference semantics do, on any number of threads and to the same bits. */
export function expectSame(
  graph: Graph,
  feeds: Readonly<Record<string, Tensor>>,
  target: Target = targets["wasm-x64-relaxed"],
  tolerance = 1e-5,
  options: LowerOptions = {},
): void {
  const expected = interpret(graph, feeds).outputs;
  const machine = new Machine(lower(optimize(graph), target, options));
  const check = (what: string, actual: ReadonlyMap<string, Tensor>, wanted: ReadonlyMap<string, Tensor>, limit: number) => {
    for (const [name, tensor] of wanted) {
      const error = errorOf(actual.get(name), tensor);
      if (!(error <= limit)) throw new Error(`${what} on ${target.name}: ${name} is off by ${error}\n${printGraph(graph)}`);
    }
  };
  const single = machine.run(feeds);
  check("one thread", single, expected, tolerance);
  for (const threads of [2, 3]) for (const order of orders) check(`${threads} threads, ${order}`, machine.run(feeds, threads, order), single, 0);
}
