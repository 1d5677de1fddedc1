import { CadnnError } from "../errors.ts";
import { type Expr, e } from "../ir/expr.ts";
import type { InputValue, ParameterValue, Value } from "../ir/graph.ts";
import { zeros } from "../ir/types.ts";
import type { GraphBuilder } from "../ops/builder.ts";
import { addMap } from "../ops/gradient-helpers.ts";

export type Optimizer =
  /** v ← momentum · v + g; w ← w − lr · v (Nesterov: g + momentum · v). Weight decay adds decay · w to g. */
  | { readonly kind: "sgd"; readonly momentum?: number; readonly weightDecay?: number; readonly nesterov?: boolean }
  /** Kingma and Ba, arXiv 1412.6980, algorithm 1. */
  | { readonly kind: "adam"; readonly beta1?: number; readonly beta2?: number; readonly epsilon?: number; readonly weightDecay?: number };

/** Scalars that change from step to step, in the order of the graph's inputs. */
export interface ScalarInputs {
  readonly learningRate: InputValue;
  /** Adam only: 1/√(1 − β₂ᵗ). Its other bias correction is part of the learning rate. */
  readonly momentScale?: InputValue;
}

export interface UpdateOptions {
  readonly optimizer: Optimizer;
  readonly scalars: ScalarInputs;
  /** Z − U and ρ of ADMM, resident. Adds ρ (w − target) to the gradient. */
  readonly penalty?: { readonly target: ParameterValue; readonly rho: ParameterValue } | undefined;
  /** 0 or 1 each, resident. Masks gradient and weight. */
  readonly mask?: ParameterValue | undefined;
  /** Resident sums over all steps of the gradient of the loss and of its square, also where the mask is 0. */
  readonly moments?: { readonly sum: ParameterValue; readonly squares: ParameterValue } | undefined;
  /** Biases and BatchNorm do not decay. */
  readonly decays: boolean;
}

/** Adds the nodes that step `weight` along `gradient`, at most three Maps (five with moments), and returns the names of the optimizer's state. */
export function addUpdate(builder: GraphBuilder, weight: ParameterValue, gradient: Value, options: UpdateOptions): string[] {
  const { optimizer, scalars, penalty, mask, moments } = options;
  const inputs: Value[] = [];
  const operand = (value: Value): Expr => {
    if (!inputs.includes(value)) inputs.push(value);
    return e.input(inputs.indexOf(value));
  };
  const masked = (x: Expr): Expr => (mask === undefined ? x : e.mul(x, operand(mask)));
  const add = (expr: Expr, name: string): Value => addMap(builder, expr, inputs, name) as Value;
  const state = (name: string): ParameterValue => builder.parameter(`${weight.name}.${name}`, zeros("float32", weight.type.shape));

  const w = operand(weight);
  const lr = operand(scalars.learningRate);
  let g = operand(gradient);
  if (moments !== undefined) {
    builder.update(moments.sum, add(e.add(operand(moments.sum), g), `${moments.sum.name}.next`));
    builder.update(moments.squares, add(e.add(operand(moments.squares), e.mul(g, g)), `${moments.squares.name}.next`));
  }
  if (options.decays && optimizer.weightDecay) g = e.add(g, e.mul(optimizer.weightDecay, w));
  if (penalty !== undefined) g = e.add(g, e.mul(operand(penalty.rho), e.sub(w, operand(penalty.target))));
  g = masked(g);

  if (optimizer.kind === "sgd") {
    const momentum = optimizer.momentum ?? 0.9;
    if (momentum === 0) {
      builder.update(weight, add(e.sub(w, e.mul(lr, g)), `${weight.name}.next`));
      return [];
    }
    const velocity = state("momentum");
    const next = add(e.add(e.mul(momentum, operand(velocity)), g), `${velocity.name}.next`);
    const direction = optimizer.nesterov ? e.add(g, e.mul(momentum, operand(next))) : operand(next);
    builder.update(velocity, next);
    builder.update(weight, add(e.sub(w, masked(e.mul(lr, direction))), `${weight.name}.next`));
    return [velocity.name];
  }
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 } = optimizer;
  if (scalars.momentScale === undefined) throw new CadnnError("E_INTERNAL", "Adam needs its moment scale");
  const [m, v] = [state("adam_m"), state("adam_v")];
  const nextM = add(e.add(e.mul(beta1, operand(m)), e.mul(1 - beta1, g)), `${m.name}.next`);
  const nextV = add(e.add(e.mul(beta2, operand(v)), e.mul(1 - beta2, e.mul(g, g))), `${v.name}.next`);
  const step = e.div(e.mul(lr, operand(nextM)), e.add(e.mul(e.sqrt(operand(nextV)), operand(scalars.momentScale)), epsilon));
  builder.update(m, nextM);
  builder.update(v, nextV);
  builder.update(weight, add(e.sub(w, masked(step)), `${weight.name}.next`));
  return [m.name, v.name];
}

/** What to feed for the scalars at step `t` (from 1 on) since the optimizer's state was zero. */
export function scalarFeeds(optimizer: Optimizer, learningRate: number, t: number): { readonly learningRate: number; readonly momentScale: number } {
  if (optimizer.kind === "sgd") return { learningRate, momentScale: 1 };
  const { beta1 = 0.9, beta2 = 0.999 } = optimizer;
  return { learningRate: learningRate / (1 - beta1 ** t), momentScale: 1 / Math.sqrt(1 - beta2 ** t) };
}
