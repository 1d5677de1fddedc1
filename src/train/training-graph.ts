import { CadnnError } from "../errors.ts";
import { type Expr, e } from "../ir/expr.ts";
import { type ConstantValue, type Graph, isConstant, type Node, type ParameterValue, producers, type Value } from "../ir/graph.ts";
import { elementCount, tensorType, zeros } from "../ir/types.ts";
import { GraphBuilder } from "../ops/builder.ts";
import { addMap, allButChannel, reshape } from "../ops/gradient-helpers.ts";
import { oneHotOperands } from "../ops/gradients.ts";
import { eliminateDeadNodes } from "../passes/eliminate-dead-nodes.ts";
import { backpropagate } from "./differentiate.ts";
import { addUpdate, type Optimizer, type ScalarInputs } from "./optimizer.ts";
import { rebatch } from "./rebatch.ts";
import { addPointwise, type SparseParameter, sparseParameter } from "./sparse-parameter.ts";

export interface TrainingGraphOptions {
  readonly batch: number;
  readonly optimizer: Optimizer;
  readonly loss?: "cross-entropy";
  /** Whether the weight of this name is trained; all are unless told otherwise. */
  readonly trainable?: (name: string) => boolean;
  /** Weights that ADMM pulls to a resident target, `NAME.target`, with a resident ρ, `NAME.rho`, which is 0 at the start. */
  readonly admm?: { readonly constrained: readonly string[] };
  /** Weights with a resident mask, `NAME.mask`: where it is 0, they stay as they are (pruned ones 0, quantized ones on their level). */
  readonly masks?: readonly string[];
  /** Weights whose gradients, and squares of these, are summed up over the steps in `NAME.gradients` and `NAME.squares`, also where a mask is 0. */
  readonly moments?: readonly string[];
  /** Weights of which only these elements exist, by ascending row-major index: the others are 0 and stay so. Needs a batch that is a multiple of 4. */
  readonly supports?: ReadonlyMap<string, Int32Array>;
  /** Hinton et al., arXiv 1503.02531: loss = (1 − weight) · CE(labels) + weight · τ² · KL(teacher at τ ‖ net at τ). Adds the input `teacher`, softmax(teacher's logits / τ). */
  readonly distill?: { readonly temperature: number; readonly weight: number };
  /** BatchNorm goes on with its running statistics, which stay as they are; else it takes each batch's own, which the running ones follow. */
  readonly frozenStatistics?: boolean;
  /** Share of each batch's statistics in BatchNorm's running ones. */
  readonly batchNormMomentum?: number;
}

/** A step of training as one graph. Inputs: images, labels int32[N], scalars; outputs: `loss` and `correct` (count), both []. */
export interface TrainingGraph {
  readonly graph: Graph;
  readonly batch: number;
  readonly classes: number;
  readonly inputs: {
    readonly images: string;
    readonly labels: string;
    readonly learningRate: string;
    readonly momentScale?: string;
    readonly teacher?: string;
  };
  readonly optimizer: Optimizer;
  readonly distill: TrainingGraphOptions["distill"];
  /** Parameters that belong to the net: weights and BatchNorm's running statistics. They keep the names of its constants. */
  readonly weights: readonly string[];
  /** Parameters that belong to the optimizer, zero at the start. */
  readonly state: readonly string[];
  /** ADMM's targets, `NAME.target`. At the start they are the weights. */
  readonly targets: readonly string[];
  /** ρ of each target, `NAME.rho`, each []. */
  readonly rhos: readonly string[];
  /** `NAME.mask`, all ones at the start. */
  readonly masks: readonly string[];
  /** `NAME.gradients` and `NAME.squares`, all zero at the start. */
  readonly moments: readonly string[];
  /** Parameters (weights, and what belongs to them) that hold some elements only: which, in their order, and of how many. */
  readonly supports: ReadonlyMap<string, Support>;
}

export interface Support {
  readonly indices: Int32Array;
  readonly size: number;
}

/**
 * Turns an inference graph (weights constant, BatchNorm not folded) into one training step: forward, backward and update.
 * The net's first output holds the logits; a closing Softmax is left out. Dropout is off.
 * @throws `E_UNSUPPORTED_OP` that lists all ops without gradient; `E_INVALID_OPTION` for a weight that does not exist.
 */
export function makeTrainingGraph(source: Graph, options: TrainingGraphOptions): TrainingGraph {
  const { batch, optimizer } = options;
  if (!Number.isInteger(batch) || batch < 1)
    throw new CadnnError("E_INVALID_OPTION", `batch ${batch} is not a positive whole number`, { at: "batch", hint: "Take a multiple of 4." });
  const net = rebatch(source, batch);
  const builder = new GraphBuilder(`${source.name}.train`);
  const roles = weightRoles(net);
  const wanted = options.trainable ?? (() => true);
  const parameters = new Map<ConstantValue, ParameterValue>();
  const sparse = new Map<ConstantValue, SparseParameter>();
  for (const [constant, role] of roles) {
    if (!(role === "statistic" ? options.frozenStatistics !== true : wanted(constant.name))) continue;
    const indices = role === "weight" ? options.supports?.get(constant.name) : undefined;
    const weight = indices === undefined ? undefined : sparseParameter(builder, net, constant, indices);
    if (weight !== undefined) sparse.set(constant, weight);
    parameters.set(constant, weight?.parameter ?? builder.parameter(constant.name, { ...constant.type, data: constant.data } as never));
  }

  const [images] = net.inputs;
  if (images === undefined || net.inputs.length !== 1)
    throw new CadnnError("E_INVALID_GRAPH", `the net has ${net.inputs.length} inputs, training takes one`, { at: net.name, hint: "Export the net with its image input alone." });
  builder.addInput(images);
  const labels = builder.input("labels", tensorType("int32", [batch]));
  const logits = copyForward(builder, net, parameters, sparse, options.batchNormMomentum ?? 0.1);
  const classes = logits.type.shape[1] as number;
  const scalar = (name: string) => builder.input(name, tensorType("float32", []));
  const scalars: ScalarInputs = {
    learningRate: scalar("learning_rate"),
    ...(optimizer.kind === "adam" ? { momentScale: scalar("moment_scale") } : {}),
  };

  const teacher = options.distill === undefined ? undefined : builder.input("teacher", tensorType("float32", [batch, classes]));
  const { loss, correct, dLogits } = addLoss(builder, logits, labels, teacher, options.distill);
  const trained = [...parameters].flatMap(([constant, parameter]) => (roles.get(constant) === "statistic" ? [] : [parameter]));
  const gradients = backpropagate(builder, new Map([[logits, dLogits]]), trained);
  const targets = residents(builder, trained, options.admm?.constrained ?? [], "target");
  const rhos = new Map([...targets.keys()].map((name) => [name, builder.parameter(`${name}.rho`, zeros("float32", []))]));
  const masks = residents(builder, trained, options.masks ?? [], "mask");
  const sums = residents(builder, trained, options.moments ?? [], "gradients");
  const squares = residents(builder, trained, options.moments ?? [], "squares");
  const state: string[] = [];
  const supports = new Map<string, Support>();
  for (const [constant, weight] of parameters) {
    const gradient = gradients.get(weight);
    if (gradient === undefined) continue;
    const decays = constant.type.shape.length > 1;
    const [target, rho, mask] = [targets.get(weight.name), rhos.get(weight.name), masks.get(weight.name)];
    const penalty = target && rho && { target, rho };
    const [sum, square] = [sums.get(weight.name), squares.get(weight.name)];
    const moments = sum && square && { sum, squares: square };
    const own = addUpdate(builder, weight, gradient, { optimizer, scalars, penalty, mask, moments, decays });
    state.push(...own);
    const indices = sparse.get(constant)?.elements;
    if (indices === undefined) continue;
    const size = elementCount(constant.type.shape);
    for (const name of [weight.name, ...own, target?.name, mask?.name, sum?.name, square?.name]) if (name !== undefined) supports.set(name, { indices, size });
  }
  builder.output("loss", loss);
  builder.output("correct", correct);
  const inputs = { images: images.name, labels: labels.name, learningRate: scalars.learningRate.name };
  return {
    graph: eliminateDeadNodes.run(builder.finish()),
    batch,
    classes,
    inputs: {
      ...inputs,
      ...(scalars.momentScale === undefined ? {} : { momentScale: scalars.momentScale.name }),
      ...(teacher === undefined ? {} : { teacher: teacher.name }),
    },
    optimizer,
    distill: options.distill,
    weights: [...parameters.values()].map((p) => p.name),
    state,
    targets: [...targets.values()].map((p) => p.name),
    rhos: [...rhos.values()].map((p) => p.name),
    masks: [...masks.values()].map((p) => p.name),
    moments: [...sums.values(), ...squares.values()].map((p) => p.name),
    supports,
  };
}

type Role = "weight" | "bias" | "statistic";

/** Which constants are weights, by the inputs of which ops they are: kernels, biases, slopes and BatchNorm's four. */
export function weightRoles(graph: Graph): ReadonlyMap<ConstantValue, Role> {
  const roles = new Map<ConstantValue, Role>();
  const producer = producers(graph);
  const mark = (value: Value | undefined, role: Role) => {
    if (isConstant(value) && value.type.dtype === "float32" && !roles.has(value)) roles.set(value, role);
  };
  for (const { op, inputs } of graph.nodes) {
    const [a, b, c] = inputs;
    if (op === "Conv" || op === "ConvTranspose" || op === "Gemm") {
      if (op === "Gemm") mark(a, "weight");
      mark(b, "weight");
      mark(c, "bias");
    } else if (op === "MatMul") {
      mark(a, "weight");
      mark(b, "weight");
    } else if (op === "BatchNormalization") {
      mark(b, "bias");
      mark(c, "bias");
      mark(inputs[3], "statistic");
      mark(inputs[4], "statistic");
    } else if (op === "PRelu") mark(b, "bias");
    else if (op === "Add") {
      const isProduct = (v: Value | undefined) => v !== undefined && ["MatMul", "Conv"].includes(producer.get(v)?.op ?? "");
      if (isProduct(a)) mark(b, "bias");
      if (isProduct(b)) mark(a, "bias");
    }
  }
  return roles;
}

/** Copies the net with parameters for constants and returns its logits as [N, classes]. */
function copyForward(
  builder: GraphBuilder,
  net: Graph,
  parameters: ReadonlyMap<ConstantValue, ParameterValue>,
  sparse: ReadonlyMap<Value, SparseParameter>,
  momentum: number,
): Value {
  const values = new Map<Value, Value>([...parameters, ...[...sparse].map(([constant, { whole }]) => [constant, whole] as const)]);
  const output = net.outputs[0]?.value;
  const producer = producers(net);
  let last = output === undefined ? undefined : producer.get(output);
  while (last !== undefined && ["Softmax", "LogSoftmax", "Identity", "Reshape"].includes(last.op)) last = producer.get(last.inputs[0] as Value);
  if (last === undefined) throw new CadnnError("E_INVALID_GRAPH", "the net computes nothing that depends on its input", { at: net.name });
  const needed = ancestors(last, producer);
  for (const node of net.nodes) {
    if (!needed.has(node)) continue;
    const inputs = node.inputs.map((v) => (v === undefined ? undefined : (values.get(v) ?? v)));
    if (node.op === "Dropout" || node.op === "Identity") values.set(node.outputs[0] as Value, inputs[0] as Value);
    else if (node.op === "BatchNormalization") values.set(node.outputs[0] as Value, addBatchNorm(builder, node, inputs, momentum));
    else if (sparse.get(node.inputs[1] as Value)?.pointwise === true) values.set(node.outputs[0] as Value, addPointwise(builder, node, inputs as Value[]));
    else
      builder.addMany(node.op, inputs, node.attrs, node.name).forEach((v, i) => {
        values.set(node.outputs[i] as Value, v);
      });
  }
  const logits = values.get(last.outputs[0] as Value) as Value;
  const n = logits.type.shape[0] as number;
  return reshape(builder, logits, [n, elementCount(logits.type.shape) / n]);
}

function ancestors(last: Node, producer: ReadonlyMap<Value, Node>): ReadonlySet<Node> {
  const seen = new Set<Node>();
  const stack = [last];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (seen.has(node)) continue;
    seen.add(node);
    for (const v of node.inputs) {
      const from = v === undefined ? undefined : producer.get(v);
      if (from !== undefined) stack.push(from);
    }
  }
  return seen;
}

/** Batch statistics instead of the running ones, which follow them: r ← (1 − momentum) · r + momentum · s, s the unbiased variance. */
function addBatchNorm(builder: GraphBuilder, node: Node, inputs: readonly (Value | undefined)[], momentum: number): Value {
  const [x, scale, bias, runningMean, runningVar] = inputs as Value[];
  const trained = runningMean?.kind === "parameter" && runningVar?.kind === "parameter";
  if (!trained || x === undefined) return builder.add("BatchNormalization", inputs, node.attrs, node.name);
  const [y, mean, variance] = builder.addMany("BatchNormTraining", [x, scale, bias], { epsilon: node.attrs.epsilon }, node.name) as [Value, Value, Value];
  const count = allButChannel(x.type.shape.length).reduce((n, axis) => n * (x.type.shape[axis] as number), 1);
  const follow = (running: ParameterValue, value: Value, gain: number): void => {
    const expr: Expr = e.add(e.mul(1 - momentum, e.input(0)), e.mul(momentum * gain, e.input(1)));
    builder.update(running, addMap(builder, expr, [running, value], `${running.name}.next`) as Value);
  };
  follow(runningMean, mean, 1);
  follow(runningVar, variance, count > 1 ? count / (count - 1) : 1);
  return y;
}

/** Cross-entropy, the count of right answers, and ∂loss/∂logits in closed form. */
function addLoss(
  builder: GraphBuilder,
  logits: Value,
  labels: Value,
  teacher: Value | undefined,
  distill: TrainingGraphOptions["distill"],
): { loss: Value; correct: Value; dLogits: Value } {
  const [batch = 1, classes = 1] = logits.type.shape;
  const [loss, probabilities] = builder.addMany("SoftmaxCrossEntropy", [logits, labels], {}, "cross_entropy") as [Value, Value];
  const { label, index } = oneHotOperands(builder, labels, classes);
  const best = builder.add("ReduceMax", [probabilities], { axes: [1], keepdims: true }, "best");
  const hits = addMap(builder, e.mul(e.eq(e.input(0), e.input(1)), e.ge(e.input(2), e.input(3))), [label, index, probabilities, best], "hits") as Value;
  const correct = builder.add("ReduceSum", [hits], { axes: [0, 1], keepdims: false }, "correct_count");
  const hard = e.sub(e.input(0), e.eq(e.input(1), e.input(2)));
  if (teacher === undefined || distill === undefined) return { loss, correct, dLogits: addMap(builder, e.mul(1 / batch, hard), [probabilities, label, index], "dlogits") as Value };

  // ∂/∂z of τ² · KL(t ‖ softmax(z / τ)) = τ · (softmax(z / τ) − t).
  const { temperature, weight } = distill;
  const soft = builder.add("Softmax", [addMap(builder, e.div(e.input(0), temperature), [logits], "soft_logits")], { axis: 1 }, "soft");
  const expr = e.add(e.mul((1 - weight) / batch, hard), e.mul((weight * temperature) / batch, e.sub(e.input(3), e.input(4))));
  return { loss, correct, dLogits: addMap(builder, expr, [probabilities, label, index, soft, teacher], "dlogits") as Value };
}

/** What the parameters beside a weight begin with. */
const residentStarts = {
  target: (weight: Float32Array) => weight.slice(),
  mask: (weight: Float32Array) => new Float32Array(weight.length).fill(1),
  gradients: (weight: Float32Array) => new Float32Array(weight.length),
  squares: (weight: Float32Array) => new Float32Array(weight.length),
} as const;

/** One more parameter of the same shape for each named weight. */
function residents(builder: GraphBuilder, weights: readonly ParameterValue[], names: readonly string[], suffix: keyof typeof residentStarts): ReadonlyMap<string, ParameterValue> {
  const map = new Map<string, ParameterValue>();
  for (const name of names) {
    const weight = weights.find((p) => p.name === name);
    if (weight === undefined)
      throw new CadnnError("E_INVALID_OPTION", `the net has no trainable weight ${name}`, { at: name, hint: `Trainable weights: ${weights.map((p) => p.name).join(", ")}.` });
    const data = residentStarts[suffix](weight.data as Float32Array);
    map.set(name, builder.parameter(`${name}.${suffix}`, { ...tensorType("float32", weight.type.shape), data }));
  }
  return map;
}
