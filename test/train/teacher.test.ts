import { describe, expect, test } from "vitest";
import { augment } from "../../src/train/data/augment.ts";
import { predict, softTargets } from "../../src/train/evaluate.ts";
import { interpreterStepper } from "../../src/train/interpreter-stepper.ts";
import type { MakeStepper } from "../../src/train/stepper.ts";
import { makeTeacher } from "../../src/train/teacher.ts";
import { createRandom } from "../../src/zoo/random.ts";
import { bars, tinyNet } from "./toy.ts";

const options = { makeStepper: interpreterStepper, temperature: 2, batch: 4 };
const indices = Int32Array.of(3, 0, 7, 5);

describe("a teacher", () => {
  test("answers for images as they are varied, and once for all where they are not", async () => {
    const dataset = bars(8);
    const varied = augment(dataset, { shift: 2, flip: true });
    const images = new Float32Array(4 * 36);
    const answers = async (data: typeof dataset) => {
      const teacher = await makeTeacher(tinyNet(), data, options);
      const out = new Float32Array(4 * 3);
      await teacher.targets(indices, images, out);
      await teacher.dispose();
      return out;
    };
    dataset.batch(indices, images, new Int32Array(4));
    const plain = await answers(dataset);
    expect(await answers(varied)).toEqual(plain);
    for (let n = 0; n < 4; n++) expect(plain.subarray(3 * n, 3 * n + 3).reduce((a, b) => a + b)).toBeCloseTo(1, 5);

    await varied.batch(indices, images, new Int32Array(4), createRandom(1));
    const other = await answers(varied);
    expect(other).not.toEqual(plain);
    const seen = { ...dataset, count: 4, batch: (_: ArrayLike<number>, out: Float32Array) => out.set(images) };
    // Logits of softmax's probabilities differ from the net's by a constant a row, which softmax does not see.
    const { logits: probabilities, classes } = await predict(tinyNet(), seen, interpreterStepper, { batch: 4 });
    const expected = softTargets({ logits: probabilities.map(Math.log), classes }, 2);
    other.forEach((v, i) => {
      expect(v).toBeCloseTo(expected[i] as number, 5);
    });
  });

  test("answers beforehand for all variations where these are fewer than what will be asked", async () => {
    const varied = augment(bars(8), { shift: 1, flip: true });
    const images = new Float32Array(4 * 36);
    const chosen = new Int32Array(4);
    await varied.batch(indices, images, new Int32Array(4), createRandom(3), chosen);
    const answers = async (asked: number) => {
      let passes = 0;
      const makeStepper: MakeStepper = async (graph) => {
        const stepper = await interpreterStepper(graph);
        return { ...stepper, run: (feeds) => stepper.run(feeds).finally(() => passes++) };
      };
      const teacher = await makeTeacher(tinyNet(), varied, { ...options, makeStepper, images: asked });
      const before = passes;
      const out = new Float32Array(4 * 3);
      await teacher.targets(indices, images, out, chosen);
      await teacher.dispose();
      return { out, before, passes };
    };
    const [known, computed] = [await answers(8 * 18 + 1), await answers(8 * 18)];
    expect([known.before, known.passes, computed.before, computed.passes]).toEqual([36, 36, 0, 1]);
    known.out.forEach((v, i) => expect(v).toBeCloseTo(computed.out[i] as number, 5));
  });
});
