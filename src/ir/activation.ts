import { type Expr, e } from "./expr.ts";

/** What a kernel applies to each result before storing it. `clamp` covers Relu (0…∞) and Relu6 (0…6). */
export type Activation = { readonly kind: "none" } | { readonly kind: "clamp"; readonly low: number; readonly high: number } | { readonly kind: "expr"; readonly expr: Expr }; // of input 0

export const noActivation: Activation = { kind: "none" };
export const relu: Activation = { kind: "clamp", low: 0, high: Number.POSITIVE_INFINITY };

/** The activation as an expression of input 0. */
export function activationExpr(activation: Activation): Expr {
  switch (activation.kind) {
    case "none":
      return e.input(0);
    case "expr":
      return activation.expr;
    case "clamp": {
      const low = activation.low === Number.NEGATIVE_INFINITY ? e.input(0) : e.max(e.input(0), activation.low);
      return activation.high === Number.POSITIVE_INFINITY ? low : e.min(low, activation.high);
    }
  }
}
