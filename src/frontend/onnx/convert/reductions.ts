import { normalizeAxis } from "../../../ir/types.ts";
import type { Converter, Converters } from "./converter.ts";
import { intsOf } from "./shapes.ts";

/** No axes means all of them, unless noop_with_empty_axes says none. */
const reduce: Converter = (n) => {
  const rank = n.typeOf(0).shape.length;
  const given = intsOf(n, 1, "axes") ?? [];
  const all = given.length === 0 && n.int("noop_with_empty_axes", 0) === 0;
  const axes = all ? Array.from({ length: rank }, (_, i) => i) : given.map((a) => normalizeAxis(a, rank));
  return n.emit(n.op, [n.input(0)], { axes: axes.toSorted((a, b) => a - b), keepdims: n.int("keepdims", 1) === 1 });
};

const argument: Converter = (n) =>
  n.emit(n.op, [n.input(0)], {
    axis: normalizeAxis(n.int("axis", 0), n.typeOf(0).shape.length),
    keepdims: n.int("keepdims", 1) === 1,
    selectLast: n.int("select_last_index", 0) === 1,
  });

export const reductions: Converters = {
  ReduceMean: reduce,
  ReduceSum: reduce,
  ReduceMax: reduce,
  ReduceMin: reduce,
  ReduceProd: reduce,
  ReduceL1: reduce,
  ReduceL2: reduce,
  ReduceSumSquare: reduce,
  ReduceLogSum: reduce,
  ReduceLogSumExp: reduce,
  ArgMax: argument,
  ArgMin: argument,
};
