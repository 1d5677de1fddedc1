/**
 * One run of compression that may be killed: `node killed-run.mjs CHECKPOINT RESULT [PHASE STEP save|step]`. At that step of that phase the process kills itself, between steps
 * or in the middle of saving the checkpoint; otherwise it writes the weights that come out.
 */
import { writeFileSync } from "node:fs";
import { compress } from "../../src/compress/compress.ts";
import type { PlanOptions } from "../../src/compress/plan.ts";
import { encodeCheckpoint } from "../../src/train/checkpoint.ts";
import { augment } from "../../src/train/data/augment.ts";
import { interpreterStepper } from "../../src/train/interpreter-stepper.ts";
import { weightsOf } from "../../src/train/weights.ts";
import { bars, tinyNet } from "../train/toy.ts";
import { mortalStore } from "./killed-store.ts";

const [checkpoint = "", result = "", phase, step, at] = process.argv.slice(2);
const short = { epochs: 1, schedule: { kind: "constant", peak: 0.003 } } as const;
const admm = { ...short, updatesPerRho: 1 };
const plan: PlanOptions = {
  rate: 4,
  steps: [2],
  batch: 12,
  admm,
  exchange: { ...short, epochs: 2, share: 0.3 },
  retrain: short,
  quantize: { bits: 3, admm, freeze: [0.5, 0.8, 1], retrain: short },
  distill: { temperature: 3, weight: 0.5 },
};

const { store, kill } = mortalStore(checkpoint);
const { graph } = await compress(tinyNet(), plan, augment(bars(36), { shift: 1 }), {
  makeStepper: interpreterStepper,
  validation: bars(12, 99),
  saveEverySeconds: 0,
  store,
  observer(progress) {
    if (progress.phase === phase && progress.step === Number(step)) kill(at);
  },
});
writeFileSync(result, encodeCheckpoint({ meta: {}, arrays: weightsOf(graph) }));
