import { targets } from "../codegen/target.ts";
import type { Graph } from "../ir/graph.ts";
import { elementCount } from "../ir/types.ts";
import { lower } from "../lower/index.ts";
import { legalize } from "../lower/legalize.ts";
import { optimize, passesFor } from "../passes/index.ts";
import type { Dataset } from "../train/data/dataset.ts";
import { rebatch } from "../train/rebatch.ts";
import type { FeedData, MakeStepper } from "../train/stepper.ts";
import { makeTrainingGraph } from "../train/training-graph.ts";
import { prepareNet } from "../train/weights.ts";
import { LinearAlgebra } from "./linear/algebra.ts";
import { type CompressionPlan, makeBudget, makePlan, type PlanOptions, roundsOf } from "./plan.ts";
import { imageBatches } from "./post-training/activations.ts";
import { layerSize } from "./post-training/layer.ts";
import { makePostTrainingPlan, type PostTrainingOptions } from "./post-training/plan.ts";
import { linearLayers } from "./post-training/targets.ts";
import { withLayerNames } from "./select-layers.ts";

/** What a compression is going to take on this machine. */
export interface Cost {
  readonly images: number;
  /** Passes over the images, and steps of `batch` images in them; with training only. */
  readonly epochs?: number;
  readonly steps?: number;
  readonly batch: number;
  /** Missing where a step's memory is more than a module can have. */
  readonly seconds?: number;
  /** Of a step, or of the pass that takes most, beside the images. */
  readonly bytes: number;
}

/** What one WebAssembly module can address. */
const mostBytes = 2 ** 32;
const timed = async (work: () => Promise<unknown>): Promise<number> => {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
};

/** Bytes of memory that a graph takes when it is compiled. */
function memoryOf(graph: Graph): number {
  return lower(legalize(optimize(graph, { passes: passesFor(graph) })), targets["wasm-x64-relaxed"]).memory.bytes;
}

const epochsOf = (plan: CompressionPlan): number =>
  roundsOf(plan).reduce((sum, { admm, exchange, retrain }) => sum + admm.epochs + (exchange?.epochs ?? 0) + retrain.epochs, 0) +
  (plan.quantize === undefined ? 0 : plan.quantize.admm.epochs + plan.quantize.freeze.length * plan.quantize.retrain.epochs);

/**
 * Time and memory of `compress`: the memory from the plan of the compiled training step, the time from two steps on the first images, read as they are when training.
 * Steps of nets that are pruned already are faster than these, and what accuracies are measured on comes on top.
 */
export async function trainingCost(source: Graph, options: PlanOptions, dataset: Dataset, makeStepper: MakeStepper): Promise<Cost> {
  const graph = prepareNet(source);
  const plan = withLayerNames(graph, makePlan(options));
  const { batch, optimizer } = plan;
  const constrained = makeBudget(graph, plan).pruned.map((l) => l.name);
  const training = makeTrainingGraph(graph, { batch, optimizer, admm: { constrained }, masks: constrained });
  const epochs = epochsOf(plan);
  const steps = Math.round(epochs * Math.floor(dataset.count / batch));
  const bytes = memoryOf(training.graph);
  const shared = { images: dataset.count, epochs, steps, batch, bytes };
  if (bytes > mostBytes) return shared;
  const stepper = await makeStepper(training.graph);
  try {
    const images = new Float32Array(batch * elementCount(dataset.inputShape));
    const labels = new Int32Array(batch);
    const { inputs } = training;
    const step = async (at: number) => {
      await dataset.batch(
        Array.from({ length: batch }, (_, i) => (at * batch + i) % dataset.count),
        images,
        labels,
      );
      const feeds: Record<string, FeedData> = { [inputs.images]: images, [inputs.labels]: labels, [inputs.learningRate]: Float32Array.of(0) };
      if (inputs.momentScale !== undefined) feeds[inputs.momentScale] = Float32Array.of(1);
      await stepper.run(feeds);
    };
    const seconds = [await timed(() => step(0)), await timed(() => step(1)), await timed(() => step(2))];
    return { ...shared, seconds: Math.min(...seconds) * steps };
  } finally {
    await stepper.dispose();
  }
}

const productSize = 384;

/** Time and memory of `compressPostTraining`: two passes of the net over all images, of which one batch is timed, and the linear algebra of each layer by the speed of one product. */
export async function postTrainingCost(
  source: Graph,
  options: PostTrainingOptions,
  images: Pick<Dataset, "count" | "inputShape" | "batch">,
  makeStepper: MakeStepper,
): Promise<Cost> {
  const graph = prepareNet(source);
  const plan = withLayerNames(graph, makePostTrainingPlan(options));
  const net = rebatch(graph, plan.batch);
  const stepper = await makeStepper(net);
  const [batch] = await imageBatches(net, { ...images, count: Math.min(images.count, plan.batch) }, plan.batch);
  const feeds = Object.fromEntries(batch ?? []);
  const forward = Math.min(await timed(() => stepper.run(feeds)), await timed(() => stepper.run(feeds)));
  await stepper.dispose();

  const algebra = new LinearAlgebra();
  algebra.reset(3 * productSize ** 2);
  const [a, b, c] = [algebra.matrix(productSize, productSize), algebra.matrix(productSize, productSize), algebra.matrix(productSize, productSize)];
  const product = await timed(async () => algebra.addProduct(a, b, c, productSize));
  const secondsPerMac = product / productSize ** 3;
  const layers = linearLayers(net);
  const pruned = new Set(makeBudget(net, plan).pruned.map((l) => l.name));
  const fitted = layers.filter(({ layer }) => plan.bits !== undefined || pruned.has(layer.name));
  const macs = fitted.map(({ layer: { matrix, kind }, groups }) => {
    const [k, m] = [matrix.inputs * matrix.taps, matrix.outputs / groups];
    const samples = kind === "linear" ? images.count : Math.max(plan.samples, 32 * k);
    const perIteration = m * k * k + k ** 3 / 18;
    const finish = (m * (k / plan.rate) ** 3) / 6;
    return groups * (samples * k * (k / 2 + m) + plan.iterations * perIteration + finish);
  });
  const passes = 2 + 3 * plan.distill.epochs;
  return {
    images: images.count,
    batch: plan.batch,
    seconds: passes * forward * Math.ceil(images.count / plan.batch) + macs.reduce((x, y) => x + y, 0) * secondsPerMac,
    bytes: plan.memoryMiB * 2 ** 20 + Math.max(memoryOf(net), ...fitted.map((l) => 8 * layerSize(l))),
  };
}
