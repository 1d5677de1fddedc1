import { CadnnError } from "../errors.ts";
import { elementCount, type Tensor, zeros } from "../ir/types.ts";
import { numbersOf } from "./numbers.ts";
import { defineOp, expectDType, expectRank, type OpDef, required } from "./op.ts";

export type SoftmaxAttrs = { readonly axis: number };

/** Calls `each` with the offset of every line of elements along the axis, which are `stride` apart. */
function lines(shape: readonly number[], axis: number, each: (start: number, stride: number, length: number) => void): void {
  const length = shape[axis] as number;
  const stride = elementCount(shape.slice(axis + 1));
  const outer = elementCount(shape.slice(0, axis));
  for (let o = 0; o < outer; o++) for (let i = 0; i < stride; i++) each(o * length * stride + i, stride, length);
}

/** Writes log(exp(x_i) / Σ exp(x_j)), computed from the distances to the largest element, through `store`. */
function logSoftmaxLine(x: Float32Array, start: number, stride: number, length: number, store: (index: number, logProbability: number) => void): void {
  let largest = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < length; i++) largest = Math.max(largest, x[start + i * stride] as number);
  let sum = 0;
  for (let i = 0; i < length; i++) sum += Math.exp((x[start + i * stride] as number) - largest);
  const logSum = Math.log(sum);
  for (let i = 0; i < length; i++) store(start + i * stride, (x[start + i * stride] as number) - largest - logSum);
}

function defineSoftmax(name: string, result: (logProbability: number) => number): OpDef {
  return defineOp<SoftmaxAttrs>({
    name,
    infer(inputs, { axis }) {
      const x = required(inputs, 0, name);
      expectDType(x, ["float32"], name, "input");
      if (!Number.isInteger(axis) || axis < 0 || axis >= x.shape.length) throw new CadnnError("E_INVALID_ATTRIBUTE", `${name}: axis ${axis} for input [${x.shape.join(", ")}]`);
      return [x];
    },
    evaluate([input], { axis }) {
      const x = input as Tensor<"float32">;
      const y = zeros("float32", x.shape);
      lines(x.shape, axis, (start, stride, length) =>
        logSoftmaxLine(x.data, start, stride, length, (i, logProbability) => {
          y.data[i] = result(logProbability);
        }),
      );
      return [y];
    },
  }) as OpDef;
}

/** Mean of −log softmax(logits)[label]. logits: [N, C], labels: int32 [N] → loss [], probabilities [N, C]. */
export const SoftmaxCrossEntropy = defineOp({
  name: "SoftmaxCrossEntropy",
  infer(inputs) {
    const logits = required(inputs, 0, "SoftmaxCrossEntropy");
    const labels = required(inputs, 1, "SoftmaxCrossEntropy");
    expectDType(logits, ["float32"], "SoftmaxCrossEntropy", "logits");
    expectDType(labels, ["int32", "int64"], "SoftmaxCrossEntropy", "labels");
    expectRank(logits, 2, "SoftmaxCrossEntropy", "logits");
    if (labels.shape.length !== 1 || labels.shape[0] !== logits.shape[0])
      throw new CadnnError("E_SHAPE_MISMATCH", `SoftmaxCrossEntropy: labels [${labels.shape.join(", ")}] for logits [${logits.shape.join(", ")}]`);
    return [{ dtype: "float32", shape: [] }, logits];
  },
  evaluate([first, second]) {
    const logits = first as Tensor<"float32">;
    const labels = numbersOf(second as Tensor);
    const [rows = 0, classes = 0] = logits.shape;
    const probabilities = zeros("float32", logits.shape);
    let loss = 0;
    for (let n = 0; n < rows; n++) {
      const label = labels[n] as number;
      if (!(label >= 0 && label < classes)) throw new CadnnError("E_INVALID_DATASET", `label ${label} of example ${n} is not one of ${classes} classes`);
      logSoftmaxLine(logits.data, n * classes, 1, classes, (i, logProbability) => {
        probabilities.data[i] = Math.exp(logProbability);
        if (i === n * classes + label) loss -= logProbability;
      });
    }
    return [{ dtype: "float32", shape: [], data: Float32Array.of(loss / rows) }, probabilities];
  },
});

/** exp(x) / Σ exp(x) along an axis, and its logarithm. */
export const softmaxOps: readonly OpDef[] = [defineSoftmax("Softmax", Math.exp), defineSoftmax("LogSoftmax", (v) => v), SoftmaxCrossEntropy as OpDef];
