import { checksum } from "../../artifact/checksum.ts";
import { CadnnError } from "../../errors.ts";
import type { Graph } from "../../ir/graph.ts";
import { type CheckpointStore, decodeCheckpoint, encodeCheckpoint } from "../../train/checkpoint.ts";
import { weightsOf } from "../../train/weights.ts";
import type { CalibrationImages } from "./activations.ts";
import type { PostTrainingPlan } from "./plan.ts";

/** What was found out about a layer. */
export interface Found {
  readonly residual: number;
  readonly error?: number;
  readonly bits?: number;
}

/** How far a run is; what its checkpoint holds. */
export interface Run {
  /** Constants that differ from the dense net's. */
  readonly weights: Map<string, Float32Array>;
  readonly found: Map<string, Found>;
  /** Layers that are fitted. */
  finished: number;
  save(): Promise<void>;
  /** Where the training afterwards keeps its own checkpoint, within this one. */
  readonly distillation: CheckpointStore | undefined;
}

interface Meta {
  readonly identity: number;
  readonly finished: number;
  readonly found: readonly (readonly [string, Found])[];
}

const weightPrefix = "weight:";
const nested = "distillation";

/** A new run, or the one that the store holds. @throws `E_INVALID_OPTION` if that is another one. */
export async function openRun(net: Graph, plan: PostTrainingPlan, images: CalibrationImages, store: CheckpointStore | undefined): Promise<Run> {
  const identity = await identityOf(net, plan, images);
  let inner: Uint8Array | undefined;
  const run: Run = {
    weights: new Map(),
    found: new Map(),
    finished: 0,
    async save() {
      const arrays = new Map([...run.weights].map(([name, data]) => [weightPrefix + name, data]));
      // A checkpoint is made of words, so that one can lie in another as an array.
      if (inner !== undefined) arrays.set(nested, new Float32Array(inner.slice().buffer));
      await store?.save(encodeCheckpoint({ meta: { identity, finished: run.finished, found: [...run.found] } satisfies Meta, arrays }));
    },
    distillation: store && {
      load: async () => inner,
      save: async (bytes) => {
        inner = bytes;
        await run.save();
      },
    },
  };
  const bytes = await store?.load();
  if (bytes === undefined) return run;
  const { meta, arrays } = decodeCheckpoint<Meta>(bytes);
  if (meta.identity !== identity)
    throw new CadnnError("E_INVALID_OPTION", "the checkpoint belongs to another net, images or plan", {
      at: "checkpoint",
      hint: "Delete it, or go back to the options it was written with.",
    });
  run.finished = meta.finished;
  for (const [name, value] of meta.found) run.found.set(name, value);
  for (const [name, data] of arrays) {
    if (name === nested) inner = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    else run.weights.set(name.slice(weightPrefix.length), data);
  }
  return run;
}

async function identityOf(net: Graph, plan: PostTrainingPlan, images: CalibrationImages): Promise<number> {
  const sums = [...weightsOf(net)].map(([name, data]) => [name, checksum(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))]);
  const first = new Float32Array(images.inputShape.reduce((a, b) => a * b, 1));
  await images.batch([0], first, new Int32Array(1));
  return checksum(new TextEncoder().encode(JSON.stringify({ sums, plan, count: images.count, first: checksum(new Uint8Array(first.buffer)) })));
}
