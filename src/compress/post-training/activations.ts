import type { Graph, Value } from "../../ir/graph.ts";
import { elementCount } from "../../ir/types.ts";
import type { Dataset } from "../../train/data/dataset.ts";
import { interrupted } from "../../train/evaluate.ts";
import type { MakeStepper } from "../../train/stepper.ts";
import { frontierOf, segmentOf } from "./segment.ts";

/** Images without labels. */
export type CalibrationImages = Pick<Dataset, "count" | "inputShape" | "batch">;

/** Values by name. */
type Values = ReadonlyMap<string, Float32Array>;

/** All images as batches of the net's input; the last one is filled up with its first image. */
export async function imageBatches(graph: Graph, images: CalibrationImages, batch: number): Promise<Values[]> {
  const input = graph.inputs[0] as Value;
  const labels = new Int32Array(batch);
  const batches: Values[] = [];
  for (let b = 0; b * batch < images.count; b++) {
    const indices = Array.from({ length: batch }, (_, i) => (b * batch + i < images.count ? b * batch + i : b * batch));
    const data = new Float32Array(elementCount(input.type.shape));
    await images.batch(indices, data, labels);
    batches.push(new Map([[input.name, data]]));
  }
  return batches;
}

/**
 * Runs a net layer by layer over all batches. What is live between two layers is kept for all of them, as far as it fits into `room`
 * bytes; else the next layers are computed from where it last did.
 */
export class Activations {
  readonly #makeStepper: MakeStepper;
  readonly #room: number;
  readonly #batches: Values[];
  #known: ReadonlySet<string>;

  constructor(batches: readonly Values[], options: { readonly makeStepper: MakeStepper; readonly room: number }) {
    this.#makeStepper = options.makeStepper;
    this.#room = options.room;
    this.#batches = [...batches];
    this.#known = new Set(batches[0]?.keys());
  }

  /**
   * Gives `wanted` of each batch in turn, valid until the next, and at the end goes on to node `index` where that fits. The graph is the net
   * with the weights of now; of nodes before the last `index` they must be as they were then. To be run to its end, or never again.
   */
  async *run(graph: Graph, index: number, wanted: Value, signal?: AbortSignal): AsyncGenerator<Float32Array> {
    const live = frontierOf(graph, index);
    const bytes = live.reduce((sum, v) => sum + 4 * elementCount(v.type.shape), 0) * this.#batches.length;
    const advances = bytes <= this.#room;
    const computed = [...new Set([wanted, ...(advances ? live : [])])].filter((v) => !this.#known.has(v.name));
    const segment = segmentOf(graph, this.#known, computed);
    const stepper = computed.length === 0 ? undefined : await this.#makeStepper(segment);
    try {
      for (const [b, known] of this.#batches.entries()) {
        if (signal?.aborted) throw interrupted("post-training compression");
        const feeds = Object.fromEntries(segment.inputs.map((v) => [v.name, known.get(v.name) as Float32Array]));
        const results = stepper === undefined ? {} : await stepper.run(feeds);
        // Batch by batch, so that two places' activations are never there at once.
        if (advances) this.#batches[b] = new Map(live.map((v) => [v.name, known.get(v.name) ?? (results[v.name] as Float32Array).slice()]));
        yield known.get(wanted.name) ?? (results[wanted.name] as Float32Array);
      }
    } finally {
      await stepper?.dispose();
    }
    if (advances) this.#known = new Set(live.map((v) => v.name));
  }
}
