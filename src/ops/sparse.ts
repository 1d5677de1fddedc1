import { CadnnError } from "../errors.ts";
import { elementCount, type Tensor, zeros } from "../ir/types.ts";
import { ConvGradWeight, type ConvGradWeightAttrs } from "./conv-transpose.ts";
import { reshape } from "./gradient-helpers.ts";
import { defineOp, expectDType, expectRank, required } from "./op.ts";

export type ScatterAttrs = { readonly shape: readonly number[] };

/**
 * A weight by its non-zeros: y is 0 but for y[indices[i]] = values[i], y of `shape` and counted row-major. values: [n]; indices: int32[n], ascending. Made for
 * training: products with y, and its gradient, need only the non-zeros.
 */
export const Scatter = defineOp<ScatterAttrs>({
  name: "Scatter",
  infer(inputs, { shape }) {
    const values = required(inputs, 0, "Scatter");
    expectList("Scatter", values.shape, required(inputs, 1, "Scatter"));
    return [{ dtype: values.dtype, shape }];
  },
  evaluate([values, indices], { shape }) {
    const y = zeros((values as Tensor).dtype, shape);
    indices?.data.forEach((index, i) => {
      y.data[Number(index)] = (values as Tensor).data[i] as never;
    });
    return [y];
  },
  /** dvalues = dy[indices], of which a convolution's gradient computes no more than that. */
  gradient({ builder, inputs, gradients }) {
    const [indices, dy] = [required(inputs, 1, "Scatter"), required(gradients, 0, "Scatter")];
    const from = builder.nodes.find(({ outputs }) => outputs[0] === dy);
    if (from?.op === "ConvGradWeight" && from.attrs.group === 1) return [builder.add("ConvGradWeightAt", [...from.inputs, indices], from.attrs), undefined];
    return [builder.add("Gather", [reshape(builder, dy, [elementCount(dy.type.shape)]), indices], { axis: 0 }), undefined];
  },
});

/** Some elements of ConvGradWeight, without groups: dw[indices[i]], dw counted row-major. x, dy as there; indices: int32[n]; result: [n]. */
export const ConvGradWeightAt = defineOp<ConvGradWeightAttrs>({
  name: "ConvGradWeightAt",
  infer(inputs, attrs) {
    const indices = required(inputs, 2, "ConvGradWeightAt");
    expectList("ConvGradWeightAt", indices.shape, indices);
    if (attrs.group !== 1) throw new CadnnError("E_INVALID_ATTRIBUTE", `ConvGradWeightAt: ${attrs.group} groups`);
    ConvGradWeight.infer(inputs.slice(0, 2), attrs);
    return [{ dtype: "float32", shape: indices.shape }];
  },
  evaluate(inputs, attrs, types) {
    const [dw] = ConvGradWeight.evaluate(inputs.slice(0, 2), attrs, types) as [Tensor<"float32">];
    const indices = inputs[2] as Tensor;
    return [{ dtype: "float32", shape: indices.shape, data: Float32Array.from(indices.data as Int32Array, (index) => dw.data[index] as number) }];
  },
});

function expectList(op: string, shape: readonly number[], indices: { readonly dtype: Tensor["dtype"]; readonly shape: readonly number[] }): void {
  expectDType(indices, ["int32"], op, "indices");
  expectRank(indices, 1, op, "indices");
  if (shape.length !== 1 || shape[0] !== indices.shape[0]) throw new CadnnError("E_SHAPE_MISMATCH", `${op}: ${indices.shape[0]} indices for values [${shape.join(", ")}]`);
}

export const sparseOps = [Scatter, ConvGradWeightAt];
