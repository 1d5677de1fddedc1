import { CadnnError } from "../errors.ts";
import { elementCount, stridesOf, type Tensor, type TensorType } from "../ir/types.ts";
import { allTypes, floatTypes, fromNumbers, numbersOf, numericTypes } from "./numbers.ts";
import { defineOp, expectDType, type OpDef, required } from "./op.ts";
import { viewOffsets } from "./strided.ts";

/** `axes`: sorted, non-negative; none reduces nothing. */
export type ReduceAttrs = { readonly axes: readonly number[]; readonly keepdims: boolean };
export type ArgAttrs = { readonly axis: number; readonly keepdims: boolean; readonly selectLast: boolean };

/** A fold over the elements of a group: `start`, then `step` for each, then `finish`. */
interface Reduction {
  readonly dtypes: typeof allTypes;
  readonly start: number;
  step(sum: number, x: number): number;
  finish?(sum: number, count: number): number;
}

const reductions: Readonly<Record<string, Reduction>> = {
  ReduceSum: { dtypes: numericTypes, start: 0, step: (sum, x) => sum + x },
  ReduceMean: { dtypes: numericTypes, start: 0, step: (sum, x) => sum + x, finish: (sum, count) => sum / count },
  ReduceMax: { dtypes: allTypes, start: Number.NEGATIVE_INFINITY, step: Math.max },
  ReduceMin: { dtypes: allTypes, start: Number.POSITIVE_INFINITY, step: Math.min },
  ReduceProd: { dtypes: numericTypes, start: 1, step: (product, x) => product * x },
  ReduceL1: { dtypes: numericTypes, start: 0, step: (sum, x) => sum + Math.abs(x) },
  ReduceL2: { dtypes: numericTypes, start: 0, step: (sum, x) => sum + x * x, finish: Math.sqrt },
  ReduceSumSquare: { dtypes: numericTypes, start: 0, step: (sum, x) => sum + x * x },
  ReduceLogSum: { dtypes: floatTypes, start: 0, step: (sum, x) => sum + x, finish: Math.log },
};

const reducedShape = (shape: readonly number[], axes: readonly number[], keepdims: boolean) =>
  keepdims ? shape.map((extent, d) => (axes.includes(d) ? 1 : extent)) : shape.filter((_, d) => !axes.includes(d));

/** For each element of the input, the element of the output that it goes into. */
function groupOf(shape: readonly number[], axes: readonly number[]): Int32Array {
  const strides = stridesOf(reducedShape(shape, axes, true));
  return viewOffsets(
    shape,
    strides.map((stride, d) => (axes.includes(d) ? 0 : stride)),
  );
}

function inferReduce(name: string, dtypes: typeof allTypes, x: TensorType, { axes, keepdims }: ReduceAttrs): TensorType[] {
  expectDType(x, dtypes, name, "input");
  if (axes.some((axis, i) => !Number.isInteger(axis) || axis < 0 || axis >= x.shape.length || axes.indexOf(axis) !== i))
    throw new CadnnError("E_INVALID_ATTRIBUTE", `${name}: axes [${axes.join(", ")}] do not fit input [${x.shape.join(", ")}]`);
  return [{ dtype: x.dtype, shape: reducedShape(x.shape, axes, keepdims) }];
}

function fold({ start, step, finish }: Omit<Reduction, "dtypes">, x: ArrayLike<number>, groups: Int32Array, count: number): Float64Array {
  const sums = new Float64Array(count).fill(start);
  for (let i = 0; i < groups.length; i++) {
    const g = groups[i] as number;
    sums[g] = step(sums[g] as number, x[i] as number);
  }
  return finish === undefined ? sums : sums.map((sum) => finish(sum, groups.length / count));
}

function defineReduction(name: string, reduction: Reduction): OpDef {
  return defineOp<ReduceAttrs>({
    name,
    infer: (inputs, attrs) => inferReduce(name, reduction.dtypes, required(inputs, 0, name), attrs),
    evaluate([input], attrs, [output]) {
      const x = input as Tensor;
      const type = output as TensorType;
      return [fromNumbers(type, fold(reduction, numbersOf(x), groupOf(x.shape, attrs.axes), elementCount(type.shape)))];
    },
  }) as OpDef;
}

/** log Σ exp(x), computed from the distances to the largest element so that nothing overflows. */
export const ReduceLogSumExp = defineOp<ReduceAttrs>({
  name: "ReduceLogSumExp",
  infer: (inputs, attrs) => inferReduce("ReduceLogSumExp", floatTypes, required(inputs, 0, "ReduceLogSumExp"), attrs),
  evaluate([input], attrs, [output]) {
    const x = numbersOf(input as Tensor);
    const type = output as TensorType;
    const groups = groupOf((input as Tensor).shape, attrs.axes);
    const count = elementCount(type.shape);
    const maxima = fold({ start: Number.NEGATIVE_INFINITY, step: Math.max }, x, groups, count).map((v) => (Number.isFinite(v) ? v : 0));
    const sums = new Float64Array(count);
    groups.forEach((g, i) => {
      sums[g] = (sums[g] as number) + Math.exp((x[i] as number) - (maxima[g] as number));
    });
    return [
      fromNumbers(
        type,
        sums.map((sum, g) => Math.log(sum) + (maxima[g] as number)),
      ),
    ];
  },
});

/** Position of the largest (`sign` 1) or smallest (−1) element along an axis. NaN wins over all numbers, as in numpy. */
function defineArg(name: string, sign: number): OpDef {
  return defineOp<ArgAttrs>({
    name,
    infer(inputs, { axis, keepdims }) {
      const [type] = inferReduce(name, numericTypes, required(inputs, 0, name), { axes: [axis], keepdims });
      return [{ dtype: "int64", shape: (type as TensorType).shape }];
    },
    evaluate([input], { axis, selectLast }, [output]) {
      const x = numbersOf(input as Tensor);
      const { shape } = input as Tensor;
      const stride = stridesOf(shape)[axis] as number;
      const extent = shape[axis] as number;
      const groups = groupOf(shape, [axis]);
      const count = elementCount((output as TensorType).shape);
      const best = new Float64Array(count).fill(Number.NEGATIVE_INFINITY);
      const positions = new Float64Array(count).fill(-1);
      groups.forEach((g, i) => {
        const value = sign * (x[i] as number);
        const nanWins = Number.isNaN(value) && !Number.isNaN(best[g]);
        if (positions[g] === -1 || value > (best[g] as number) || nanWins || (selectLast && value === best[g])) {
          best[g] = value;
          positions[g] = Math.floor(i / stride) % extent;
        }
      });
      return [fromNumbers(output as TensorType, positions)];
    },
  }) as OpDef;
}

export const reduceOps: readonly OpDef[] = [
  ...Object.entries(reductions).map(([name, reduction]) => defineReduction(name, reduction)),
  ReduceLogSumExp as OpDef,
  defineArg("ArgMax", 1),
  defineArg("ArgMin", -1),
];
