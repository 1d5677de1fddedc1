import { CadnnError } from "../errors.ts";
import { type Activation, activationExpr, noActivation } from "../ir/activation.ts";
import { evaluateExpr } from "../ir/expr.ts";
import { broadcastShapes, sameShape, type Tensor, type TensorType, zeros } from "../ir/types.ts";
import { defineOp, expectDType, expectRank, type OpTensors, type OpTypes, required } from "./op.ts";
import { broadcastOffsets } from "./strided.ts";

export type GemmAttrs = { readonly alpha: number; readonly beta: number; readonly transA: boolean; readonly transB: boolean };
export type FusedGemmAttrs = GemmAttrs & { readonly activation: Activation };

function inferGemm(name: string, inputs: OpTypes, attrs: GemmAttrs): TensorType[] {
  const a = required(inputs, 0, name);
  const b = required(inputs, 1, name);
  const c = inputs[2];
  for (const [type, what] of [
    [a, "A"],
    [b, "B"],
  ] as const) {
    expectDType(type, ["float32"], name, what);
    expectRank(type, 2, name, what);
  }
  const [m, k] = attrs.transA ? [a.shape[1], a.shape[0]] : a.shape;
  const [kb, n] = attrs.transB ? [b.shape[1], b.shape[0]] : b.shape;
  if (k !== kb)
    throw new CadnnError("E_SHAPE_MISMATCH", `${name}: A [${a.shape.join(", ")}] and B [${b.shape.join(", ")}] do not fit (transA ${attrs.transA}, transB ${attrs.transB})`);
  const shape = [m as number, n as number];
  if (c !== undefined && !sameShape(broadcastShapes(c.shape, shape), shape))
    throw new CadnnError("E_SHAPE_MISMATCH", `${name}: C [${c.shape.join(", ")}] does not broadcast to [${shape.join(", ")}]`);
  return [{ dtype: "float32", shape }];
}

/** Rows and columns of a matrix somewhere in an array: element (i, j) is at start + i · row + j · column. */
interface MatrixView {
  readonly data: Float32Array;
  readonly start: number;
  readonly row: number;
  readonly column: number;
}

/** Calls `store` with each row of a · b, in double precision. */
function multiply(a: MatrixView, b: MatrixView, [m, k, n]: readonly [number, number, number], store: (i: number, row: Float64Array) => void): void {
  const sums = new Float64Array(n);
  for (let i = 0; i < m; i++) {
    sums.fill(0);
    for (let l = 0; l < k; l++) {
      const factor = a.data[a.start + i * a.row + l * a.column] as number;
      const base = b.start + l * b.row;
      for (let j = 0; j < n; j++) sums[j] = (sums[j] as number) + factor * (b.data[base + j * b.column] as number);
    }
    store(i, sums);
  }
}

/** act(alpha · A' · B' + beta · C), A' being A or its transpose. */
function evaluateGemm(inputs: OpTensors, attrs: GemmAttrs, activation: Activation, type: TensorType): Tensor<"float32"> {
  const a = inputs[0] as Tensor<"float32">;
  const b = inputs[1] as Tensor<"float32">;
  const c = inputs[2] as Tensor<"float32"> | undefined;
  const y = zeros("float32", type.shape);
  const [m, n] = type.shape as [number, number];
  const k = a.shape[attrs.transA ? 0 : 1] as number;
  const offsets = c === undefined ? undefined : broadcastOffsets(c.shape, type.shape);
  const expr = activationExpr(activation);
  const view = (t: Tensor<"float32">, transposed: boolean): MatrixView => {
    const width = t.shape[1] as number;
    return { data: t.data, start: 0, row: transposed ? 1 : width, column: transposed ? width : 1 };
  };
  multiply(view(a, attrs.transA), view(b, attrs.transB), [m, k, n], (i, row) => {
    for (let j = 0; j < n; j++) {
      const o = i * n + j;
      const added = c === undefined || offsets === undefined ? 0 : attrs.beta * (c.data[offsets[o] as number] as number);
      const value = attrs.alpha * (row[j] as number) + added;
      y.data[o] = activation.kind === "none" ? value : evaluateExpr(expr, [value]);
    }
  });
  return y;
}

/** alpha · A' · B' + beta · C; A' is A: [M, K] or its transpose, B' likewise B: [K, N]; C broadcasts to [M, N]. */
export const Gemm = defineOp<GemmAttrs>({
  name: "Gemm",
  infer: (inputs, attrs) => inferGemm("Gemm", inputs, attrs),
  evaluate: (inputs, attrs, [type]) => [evaluateGemm(inputs, attrs, noActivation, type as TensorType)],
});

/** activation(Gemm(a, b, c)). Made by passes. */
export const FusedGemm = defineOp<FusedGemmAttrs>({
  name: "FusedGemm",
  infer: (inputs, attrs) => inferGemm("FusedGemm", inputs, attrs),
  evaluate: (inputs, attrs, [type]) => [evaluateGemm(inputs, attrs, attrs.activation, type as TensorType)],
});

/** A vector on the left is a row, on the right a column. */
const asMatrices = (a: readonly number[], b: readonly number[]) => [a.length === 1 ? [1, ...a] : a, b.length === 1 ? [...b, 1] : b] as const;

/** Matrix product as numpy's: the last two dimensions multiply, the others broadcast, vectors lose the dimension they gained. */
export const MatMul = defineOp({
  name: "MatMul",
  infer(inputs) {
    const a = required(inputs, 0, "MatMul");
    const b = required(inputs, 1, "MatMul");
    for (const [type, what] of [
      [a, "A"],
      [b, "B"],
    ] as const)
      expectDType(type, ["float32"], "MatMul", what);
    const [sa, sb] = asMatrices(a.shape, b.shape);
    if (a.shape.length === 0 || b.shape.length === 0 || sa.at(-1) !== sb.at(-2))
      throw new CadnnError("E_SHAPE_MISMATCH", `MatMul: A [${a.shape.join(", ")}] and B [${b.shape.join(", ")}] do not fit`);
    const batch = broadcastShapes(sa.slice(0, -2), sb.slice(0, -2));
    const rows = a.shape.length === 1 ? [] : [sa.at(-2) as number];
    const columns = b.shape.length === 1 ? [] : [sb.at(-1) as number];
    return [{ dtype: "float32", shape: [...batch, ...rows, ...columns] }];
  },
  evaluate(inputs, _, [type]) {
    const a = inputs[0] as Tensor<"float32">;
    const b = inputs[1] as Tensor<"float32">;
    const y = zeros("float32", (type as TensorType).shape);
    const [sa, sb] = asMatrices(a.shape, b.shape);
    const [m, k, n] = [sa.at(-2) as number, sa.at(-1) as number, sb.at(-1) as number];
    const batch = broadcastShapes(sa.slice(0, -2), sb.slice(0, -2));
    const aOffsets = broadcastOffsets(sa.slice(0, -2), batch);
    const bOffsets = broadcastOffsets(sb.slice(0, -2), batch);
    for (let i = 0; i < aOffsets.length; i++)
      multiply(
        { data: a.data, start: (aOffsets[i] as number) * m * k, row: k, column: 1 },
        { data: b.data, start: (bOffsets[i] as number) * k * n, row: n, column: 1 },
        [m, k, n],
        (row, values) => y.data.set(values, (i * m + row) * n),
      );
    return [y];
  },
});

export const gemmOps = [Gemm, FusedGemm, MatMul];
