/**
 * One run of post-training compression that may be killed: `node killed-fit.mjs CHECKPOINT RESULT MODE [DONE save|step]`. When so much is done the process kills itself, at once or in
 * the middle of saving the checkpoint; otherwise it writes the weights that come out.
 */
import { writeFileSync } from "node:fs";
import { compressPostTraining, type PostTrainingOptions } from "../../src/compress/index.ts";
import { encodeCheckpoint } from "../../src/train/checkpoint.ts";
import { interpreterStepper } from "../../src/train/interpreter-stepper.ts";
import { weightsOf } from "../../src/train/weights.ts";
import { bars, tinyNet } from "../train/toy.ts";
import { mortalStore } from "./killed-store.ts";

const [checkpoint = "", result = "", mode = "", done, at] = process.argv.slice(2);
const options: Readonly<Record<string, PostTrainingOptions>> = {
  levels: { batch: 12, sparsity: 0.5, bits: 3 },
  distillation: { batch: 12, sparsity: 0.7, distill: { epochs: 2 } },
};

const { store, kill } = mortalStore(checkpoint);
const { graph } = await compressPostTraining(tinyNet(), options[mode] as PostTrainingOptions, bars(40), {
  makeStepper: interpreterStepper,
  saveEverySeconds: 0,
  store,
  observer(progress) {
    if (done !== undefined && progress.done >= Number(done)) kill(at);
  },
});
writeFileSync(result, encodeCheckpoint({ meta: {}, arrays: weightsOf(graph) }));
