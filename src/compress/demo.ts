import type { Graph } from "../ir/graph.ts";
import type { Session } from "../runtime/index.ts";
import { augment } from "../train/data/augment.ts";
import { type Dataset, split } from "../train/data/dataset.ts";
import { digitBlack } from "../train/data/digits.ts";
import { interrupted } from "../train/evaluate.ts";
import type { TrainingProgress } from "../train/phase.ts";
import type { MakeStepper } from "../train/stepper.ts";
import { train } from "../train/trainer.ts";
import { zooGraph } from "../zoo/index.ts";
import { compress } from "./compress.ts";
import type { CompressionReport } from "./report.ts";

export interface DemoOptions {
  /** Normalized 28×28 digits; a fifth is held out. */
  readonly data: Dataset;
  readonly makeStepper: MakeStepper;
  /** Makes a `.cadnn` file. */
  readonly compile: (graph: Graph) => Promise<Uint8Array>;
  readonly open: (artifact: Uint8Array) => Promise<Session>;
  /** Default 1. */
  readonly seed?: number;
  /** All weights divided by those that are kept. Default 40. */
  readonly rate?: number;
  readonly observer?: ((progress: DemoProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** `stage` is one of train, compress and measure; while training, all about it. */
export interface DemoProgress {
  readonly stage: "train" | "compress" | "measure";
  /** Share of the whole demo that is done, 0 to 1. */
  readonly done: number;
  readonly training?: TrainingProgress;
}

/** One of the two nets. */
export interface DemoNet {
  readonly graph: Graph;
  readonly artifact: Uint8Array;
  /** In percent of the held-out digits, measured on the compiled artifact. */
  readonly accuracy: number;
  /** Of convolutions and FC layers, other than 0. */
  readonly weights: number;
  readonly bytes: number;
  /** Of one digit. */
  readonly latencyMs: { readonly min: number; readonly median: number };
}

export interface DemoResult {
  readonly dense: DemoNet;
  readonly compressed: DemoNet;
  readonly report: CompressionReport;
  readonly trainedOn: number;
  readonly heldOut: number;
  readonly seconds: number;
}

// Small batches: with 8,000 digits it is the number of steps that counts.
const batch = 32;
const denseEpochs = 6;
const admmEpochs = 4;
const retrainEpochs = 10;
const allEpochs = denseEpochs + admmEpochs + retrainEpochs;

/**
 * The whole pipeline on real digits: trains LeNet-5, compresses it with ADMM, compiles it dense and compressed, and measures both.
 *
 * @example const { dense, compressed } = await runDemo({ data: digitsDataset(readDigits()), makeStepper, compile, open });
 */
export async function runDemo(options: DemoOptions): Promise<DemoResult> {
  const { makeStepper, signal, seed = 1, rate = 40 } = options;
  const begun = performance.now();
  const { train: digits, heldOut } = split(options.data, 0.2, seed);
  const varied = augment(digits, { shift: 1, fill: digitBlack });
  const report = (stage: DemoProgress["stage"], epochsBefore: number, epochs: number) => (training: TrainingProgress) =>
    options.observer?.({ stage, done: 0.98 * ((epochsBefore + (epochs * training.step) / training.steps) / allEpochs), training });

  const dense = await train(zooGraph("lenet5", { seed }), varied, {
    epochs: denseEpochs,
    schedule: { kind: "cosine", peak: 2e-3, warmup: 100 },
    batch,
    seed,
    makeStepper,
    signal,
    observer: report("train", 0, denseEpochs),
  });
  const onAdmm = report("compress", denseEpochs, admmEpochs);
  const onRetrain = report("compress", denseEpochs + admmEpochs, retrainEpochs);
  const compressed = await compress(
    dense,
    {
      rate,
      batch,
      seed,
      admm: { epochs: admmEpochs, schedule: { kind: "cosine", peak: 2e-3, floor: 0.1 } },
      retrain: { epochs: retrainEpochs, schedule: { kind: "cosine", peak: 2e-3 } },
      distill: { temperature: 3, weight: 0.5 },
    },
    varied,
    { makeStepper, validation: heldOut, signal, observer: (p) => (p.phase.startsWith("admm") ? onAdmm(p) : onRetrain(p)) },
  );
  options.observer?.({ stage: "measure", done: 0.98 });
  const measured = await measure(options, [dense, compressed.graph], heldOut);
  options.observer?.({ stage: "measure", done: 1 });
  const [first, second] = measured as [Measured, Measured];
  return {
    dense: { ...first, weights: compressed.report.weights },
    compressed: { ...second, weights: compressed.report.kept },
    report: compressed.report,
    trainedOn: digits.count,
    heldOut: heldOut.count,
    seconds: (performance.now() - begun) / 1000,
  };
}

type Measured = Omit<DemoNet, "weights">;

/** Accuracy and latency of the compiled nets; the runs of both alternate, so that what disturbs one disturbs the other. */
async function measure({ compile, open, signal }: DemoOptions, graphs: readonly Graph[], digits: Dataset): Promise<Measured[]> {
  const artifacts: Uint8Array[] = [];
  for (const graph of graphs) artifacts.push(await compile(graph));
  const sessions: Session[] = [];
  try {
    for (const artifact of artifacts) sessions.push(await open(artifact));
    for (const session of sessions) await session.warmup();
    const right = graphs.map(() => 0);
    const times = graphs.map((): number[] => []);
    const image = new Float32Array(28 * 28);
    const label = new Int32Array(1);
    for (let i = 0; i < digits.count; i++) {
      if (signal?.aborted) throw interrupted("the demo");
      digits.batch([i], image, label);
      for (const [k, session] of sessions.entries()) {
        const input = (session.inputs[0] as Session["inputs"][number]).name;
        const output = (session.outputs[0] as Session["outputs"][number]).name;
        const start = performance.now();
        const results = await session.run({ [input]: image });
        times[k]?.push(performance.now() - start);
        const logits = results[output]?.data as Float32Array;
        if (logits.indexOf(Math.max(...logits)) === label[0]) right[k] = (right[k] as number) + 1;
      }
    }
    return graphs.map((graph, k): Measured => {
      const sorted = (times[k] as number[]).sort((a, b) => a - b);
      const artifact = artifacts[k] as Uint8Array;
      const latencyMs = { min: sorted[0] as number, median: sorted[sorted.length >> 1] as number };
      return { graph, artifact, accuracy: (100 * (right[k] as number)) / digits.count, bytes: artifact.byteLength, latencyMs };
    });
  } finally {
    for (const session of sessions) await session.dispose();
  }
}
