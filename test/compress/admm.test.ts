import { describe, expect, test } from "vitest";
import { createAdmm } from "../../src/compress/admm.ts";
import { selectLargest } from "../../src/compress/projections/select.ts";
import { applyMask, magnitudes } from "../../src/compress/projections/unstructured.ts";
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
  const stepper: Stepper = {
    run: async () => ({}),
    readParameter: async () => w.slice(),
    writeParameter: async (_, data) => {
      target = data;
    },
    dispose: async () => {},
  };
  const shared = { stepper, names: ["w"], project: (values: ReadonlyMap<string, Float32Array>) => new Map([["w", keepLargest(values.get("w") as Float32Array, keep)]]) };
  const parameters = { rhos: options.rhos, updatesPerRho: 20, steps: options.steps };
  let admm = createAdmm({ ...shared, ...parameters });
  const rhos = new Set<number>();
  for (let step = 0; step < options.steps; step++) {
    if (step === options.interruptAt) admm = createAdmm({ ...shared, ...parameters, saved: admm.save() });
    await admm.before?.(step);
    const rho = admm.rho?.(step) as number;
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
      expect(rhos).toEqual([0.03, 0.1, 0.3, 1, 3]);
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
