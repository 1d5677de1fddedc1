import { describe, expect, test } from "vitest";
import { createAdmm } from "../../src/compress/admm.ts";
import { automaticPenalty, fixedPenalty } from "../../src/compress/penalty.ts";
import { selectLargest } from "../../src/compress/projections/select.ts";
import { applyMask, magnitudes } from "../../src/compress/projections/unstructured.ts";
import { learningRateAt } from "../../src/train/schedule.ts";
import type { Stepper } from "../../src/train/stepper.ts";
import { createRandom } from "../../src/zoo/random.ts";

const size = 12;
const keep = 4;

const keepLargest = (v: Float32Array, k: number) => applyMask(v, selectLargest(magnitudes(v), k));

/** f(w) = ½ (w − a)ᵀ H (w − a) with a badly conditioned H, so that the greatest |a| are not the best support. */
function quadratic(seed: number) {
  const random = createRandom(seed, "quadratic");
  const mix = Array.from({ length: size * size }, () => random.normal());
  const h = (i: number, j: number) => {
    let sum = i === j ? 0.1 : 0;
    for (let k = 0; k < size; k++) sum += ((mix[i * size + k] as number) * (mix[j * size + k] as number)) / size;
    return sum;
  };
  const a = Float32Array.from({ length: size }, () => random.normal());
  const gradient = (w: Float32Array) => w.map((_, i) => w.reduce((sum, v, j) => sum + h(i, j) * (v - (a[j] as number)), 0));
  const f = (w: Float32Array) => {
    const g = gradient(w);
    return 0.5 * w.reduce((sum, v, i) => sum + (v - (a[i] as number)) * (g[i] as number), 0);
  };
  return { a, f, gradient };
}

/** The best f over all weights that are 0 where `z` is, by descent. */
function retrained(problem: ReturnType<typeof quadratic>, z: Float32Array): number {
  const w = z.slice();
  for (let t = 0; t < 2000; t++) {
    const g = problem.gradient(w);
    for (let i = 0; i < size; i++) if (z[i] !== 0) w[i] = (w[i] as number) - 0.1 * (g[i] as number);
  }
  return problem.f(w);
}

async function runAdmm(seed: number, options: { readonly rhos: readonly number[]; readonly steps: number; readonly interruptAt?: number }) {
  const problem = quadratic(seed);
  const w = problem.a.slice();
  let target: Float32Array = w.slice();
  let rho = 0;
  const stepper: Stepper = {
    run: async () => ({}),
    readParameter: async () => w.slice(),
    writeParameter: async (name, data) => {
      if (name === "w.rho") rho = data[0] as number;
      else target = data;
    },
    dispose: async () => {},
  };
  const shared = { stepper, names: ["w"], project: (values: ReadonlyMap<string, Float32Array>) => new Map([["w", keepLargest(values.get("w") as Float32Array, keep)]]) };
  const parameters = { penalty: fixedPenalty(["w"], options.rhos), updatesPerStage: 20, steps: options.steps };
  let admm = createAdmm({ ...shared, ...parameters });
  const rhos = new Set<number>();
  for (let step = 0; step < options.steps; step++) {
    if (step === options.interruptAt) admm = createAdmm({ ...shared, ...parameters, saved: admm.save() });
    await admm.before?.(step);
    rhos.add(rho);
    const g = problem.gradient(w);
    for (let i = 0; i < size; i++) w[i] = (w[i] as number) - 0.05 * ((g[i] as number) + rho * ((w[i] as number) - (target[i] as number)));
  }
  await admm.finish?.();
  return { problem, w, residual: admm.residuals.get("w") as number, rhos: [...rhos] };
}

describe("ADMM on a quadratic", () => {
  test("converges, and its support is better than that of the greatest weights", async () => {
    let better = 0;
    let worse = 0;
    for (let seed = 1; seed <= 12; seed++) {
      const { problem, w, residual, rhos } = await runAdmm(seed, { rhos: [0.03, 0.1, 0.3, 1, 3], steps: 4000 });
      expect(rhos).toEqual([0.03, 0.1, 0.3, 1, 3].map(Math.fround));
      expect(residual).toBeLessThan(0.05);
      const admm = retrained(problem, keepLargest(w, keep));
      const magnitude = retrained(problem, keepLargest(problem.a, keep));
      if (admm < magnitude - 1e-6) better++;
      if (admm > magnitude + 1e-6) worse++;
    }
    expect(better).toBeGreaterThan(2 * worse);
  });

  test("goes on from what it saved", async () => {
    const straight = await runAdmm(3, { rhos: [0.1, 1], steps: 400 });
    const resumed = await runAdmm(3, { rhos: [0.1, 1], steps: 400, interruptAt: 133 });
    expect(resumed.w).toEqual(straight.w);
  });
});

describe("an automatic penalty", () => {
  const pulled = { names: ["w"], steps: 400, saved: undefined } as const;
  const still = (parameters: Readonly<Record<string, Float32Array>> = {}): Stepper => ({
    run: async () => ({}),
    readParameter: async (name) => parameters[name] as Float32Array,
    writeParameter: async () => {},
    dispose: async () => {},
  });

  test("SGD: alone it brings the weight nearer to its target by e^-1 in the first stage, by e^-3 in the second", async () => {
    const schedule = { kind: "cosine", peak: 0.01, floor: 0.1 } as const;
    const penalty = automaticPenalty({ ...pulled, stepper: still(), optimizer: { kind: "sgd", momentum: 0.8 }, schedule });
    expect(penalty.stages).toBe(4);
    let [w, velocity] = [1, 0];
    const distances: number[] = [];
    for (let step = 0; step < 400; step++) {
      const rho = (await penalty.rhos(Math.floor(step / 100), step)).get("w") as number;
      velocity = 0.8 * velocity + rho * w;
      w -= learningRateAt(schedule, step, 400) * velocity;
      if (step % 100 === 99) distances.push(w);
    }
    expect(distances[0]).toBeGreaterThan(Math.exp(-1.1));
    expect(distances[0]).toBeLessThan(Math.exp(-0.9));
    expect((distances[1] as number) / (distances[0] as number)).toBeGreaterThan(Math.exp(-3.5));
    expect((distances[1] as number) / (distances[0] as number)).toBeLessThan(Math.exp(-2.5));
    expect(Math.abs(distances[3] as number)).toBeLessThan(1e-8);
  });

  test("Adam: nothing before the first update, then in proportion to the layer's gradients, and the same after a resume", async () => {
    const optimizer = { kind: "adam", beta2: 0.99 } as const;
    const schedule = { kind: "constant", peak: 0.01 } as const;
    // √(mean of squared gradients) 0.3 among the weights that have any, after 50 steps.
    const stepper = still({ "w.adam_v": Float32Array.of(0, 0.18, 0, 0).map((v) => (v / 2) * (1 - 0.99 ** 50)) });
    const penalty = automaticPenalty({ ...pulled, stepper, optimizer, schedule });
    expect(await penalty.rhos(0, 0)).toEqual(new Map([["w", 0]]));
    expect((await penalty.rhos(0, 50)).get("w")).toBeCloseTo(0.3 / (0.01 * 100), 5);
    const last = (await penalty.rhos(3, 300)).get("w") as number;
    expect(last).toBeCloseTo((30 * 0.3) / (0.01 * 100), 4);
    const resumed = automaticPenalty({ ...pulled, stepper: still(), optimizer, schedule, saved: penalty.save() });
    expect((await resumed.rhos(3, 320)).get("w")).toBe(last);
  });
});
