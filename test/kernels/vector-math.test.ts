import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Target, targets } from "../../src/codegen/target.ts";
import { ModuleBuilder } from "../../src/codegen/wasm/module.ts";
import { type Expr, e, evaluateExpr } from "../../src/ir/expr.ts";
import { emitKernel } from "../../src/kernels/emit.ts";
import { f32Map, type MapProblem } from "../../src/kernels/wasm/f32-map.ts";
import { enableRelaxedSimd } from "../../src/node/engine.ts";

const rows = Object.values(targets).filter((t) => enableRelaxedSimd() || !t.fma);
const x = e.input(0);

/** The generated code's value of the expression at every position of its inputs. */
function compute(target: Target, expr: Expr, ...inputs: readonly Float32Array[]): Float32Array {
  const size = inputs[0]?.length ?? 0;
  const problem: MapProblem = { dims: [{ size, strides: [...inputs.map(() => 1), 1] }], expr, inputs: inputs.map(() => "f32"), output: "f32", domain: "f32" };
  const builder = new ModuleBuilder();
  builder.export("run", emitKernel(builder, target, f32Map, problem, {}));
  const pages = Math.ceil(((inputs.length + 1) * size * 4 + 64) / 65536);
  const { bytes, sharedFlagOffset } = builder.finish({ import: ["m", "memory"], pages });
  bytes[sharedFlagOffset] = 1;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  inputs.forEach((data, i) => {
    new Float32Array(memory.buffer, i * size * 4, size).set(data);
  });
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { m: { memory } });
  const run = instance.exports.run as (...args: number[]) => void;
  run(...inputs.map((_, i) => i * size * 4), inputs.length * size * 4, 0, f32Map.items(problem, {}));
  return new Float32Array(memory.buffer, inputs.length * size * 4, size).slice();
}

/** The distance of float32 numbers at `value`. */
const ulp = (value: number) => (Number.isFinite(value) ? 2 ** (Math.max(-126, Math.floor(Math.log2(Math.abs(value)))) - 23) : 0);

const count = 40_000;
const linear = (low: number, high: number) => Float32Array.from({ length: count }, (_, i) => low + ((high - low) * i) / (count - 1));
/** Powers of two from 2^low to 2^high, of either sign. */
const logarithmic = (low: number, high: number) => Float32Array.from({ length: count }, (_, i) => (i % 2 === 0 ? 1 : -1) * 2 ** (low + ((high - low) * i) / (count - 1)));
/** Any bits at all. */
const everything = new Float32Array(Int32Array.from({ length: count }, (_, i) => Math.imul(i + 1, 0x9e3779b1)).buffer);
const specials = Float32Array.of(
  0,
  -0,
  1,
  -1,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  Number.NaN,
  2 ** -149,
  -(2 ** -149),
  2 ** -126,
  -(2 ** -126),
  3.4028234663852886e38,
  -3.4028234663852886e38,
);

/** The worst error in units of the last place of the true value, `slack` being an absolute error that is let through. */
function worst(expr: Expr, inputs: Float32Array, slack = 0): { readonly units: number; readonly absolute: number } {
  let units = 0;
  let absolute = 0;
  for (const target of rows) {
    const got = compute(target, expr, inputs);
    inputs.forEach((v, i) => {
      const want = evaluateExpr(expr, [v]);
      const value = got[i] as number;
      if (Object.is(value, Math.fround(want)) || value === Math.fround(want)) return;
      if (!Number.isFinite(want) || Number.isNaN(value)) throw new Error(`${target.name}: f(${v}) is ${value}, not ${want}`);
      const error = Math.abs(value - want);
      absolute = Math.max(absolute, error);
      if (error > slack) units = Math.max(units, error / ulp(want));
    });
  }
  return { units, absolute };
}

describe("vector math against double precision", () => {
  test.each([
    ["exp", e.exp(x), 2, [linear(-104, 89), linear(-1, 1), logarithmic(-149, 7)]],
    ["log", e.log(x), 3, [linear(0.5, 2), linear(0.98, 1.02), logarithmic(-149, 127.99)]],
    ["log1p", e.log1p(x), 4, [linear(-0.9, 2), linear(-0.01, 0.01), logarithmic(-149, 127)]],
    ["sigmoid", e.sigmoid(x), 3, [linear(-87, 20), linear(-1, 1), logarithmic(-149, 6)]],
    ["tanh", e.tanh(x), 6, [linear(-10, 10), linear(-0.6, 0.6), logarithmic(-149, 5)]],
    ["erf", e.erf(x), 5, [linear(-6, 6), linear(-0.6, 0.6), logarithmic(-149, 3)]],
    ["sqrt", e.sqrt(x), 0.5, [linear(0, 10), logarithmic(-149, 127)]],
  ] as const)("%s", (_name, expr, bound, ranges) => {
    for (const inputs of ranges) expect(worst(expr, inputs).units).toBeLessThanOrEqual(bound);
    worst(expr, specials, 2 ** -126);
    worst(expr, everything, 2 ** -126);
  });

  test("erf errs by less than 4e-7 anywhere", () => {
    expect(worst(e.erf(x), linear(-7, 7)).absolute).toBeLessThan(4e-7);
  });

  test("sigmoid below the smallest normal number", () => {
    expect(worst(e.sigmoid(x), linear(-200, -87)).absolute).toBeLessThan(2 ** -126);
  });

  test.each([["floor"], ["ceil"], ["round"], ["trunc"], ["sign"], ["neg"], ["abs"]] as const)("%s is exact", (op) => {
    for (const inputs of [linear(-4, 4), Float32Array.from({ length: 41 }, (_, i) => (i - 20) / 2), specials, everything]) expect(worst(e[op](x), inputs).units).toBe(0);
  });

  test("xʸ", () => {
    const bases = Float32Array.from({ length: 4000 }, (_, i) => 2 ** ((i - 2000) / 100));
    for (const exponent of [0.5, 0.75, -0.5, 1.5, 2.5, 3.3, 10, 11, -17]) {
      const y = new Float32Array(bases.length).fill(exponent);
      for (const sign of Number.isInteger(exponent) ? [1, -1] : [1])
        for (const target of rows) {
          const got = compute(
            target,
            e.pow(x, e.input(1)),
            bases.map((b) => b * sign),
            y,
          );
          bases.forEach((b, i) => {
            const want = (b * sign) ** (y[i] as number);
            if (Math.abs(want) > 2 ** 127 || Math.abs(want) < 2 ** -126) return;
            expect(Math.abs((got[i] as number) - want) / ulp(want), `${b * sign} to the ${exponent}`).toBeLessThanOrEqual(4 + 3 * Math.abs(exponent * Math.log(b)));
          });
        }
    }
  });

  test("special powers are those of **", () => {
    const values = [0, -0, 1, -1, 2, -2, 0.5, -0.5, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN];
    const pairs = values.flatMap((b) => [0, 1, 2, 3, -1, -2, -3, 0.5, -0.5, Number.NaN].map((exponent) => [b, exponent] as const));
    for (const target of rows) {
      const got = compute(
        target,
        e.pow(x, e.input(1)),
        Float32Array.from(pairs, (p) => p[0]),
        Float32Array.from(pairs, (p) => p[1]),
      );
      pairs.forEach(([b, exponent], i) => {
        const want = b ** exponent;
        const value = got[i] as number;
        const near = Object.is(value, want) || (want !== 0 && Math.abs(value - want) <= 1e-6 * Math.abs(want));
        expect(near, `${b} to the ${exponent} is ${value}, not ${want}`).toBe(true);
      });
    }
  });

  test.each([0, 1, 2, 3, 7, 8, -1, -3])("the constant power %d is a product", (exponent) => {
    expect(worst(e.pow(x, exponent), linear(-3, 3), 1e-30).units).toBeLessThanOrEqual(Math.abs(exponent) + 1);
  });

  test("random expressions", () => {
    const leaf = fc.oneof(fc.constantFrom(e.input(0), e.input(1)), fc.constantFrom(0.5, -1, 2).map(e.number));
    const { tree } = fc.letrec<{ tree: Expr }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        leaf,
        fc.tuple(fc.constantFrom("neg", "abs", "tanh", "sigmoid", "erf"), tie("tree")).map(([op, a]) => e[op as "neg"](a)),
        fc.tuple(fc.constantFrom("add", "sub", "mul", "min", "max", "lt", "ge"), tie("tree"), tie("tree")).map(([op, a, b]) => e[op as "add"](a, b)),
        fc.tuple(tie("tree"), tie("tree"), tie("tree")).map(([a, b, c]) => e.select(e.gt(a, 0.25), b, c)),
      ),
    }));
    const a = linear(-1, 1).filter((_, i) => i % 400 === 0);
    const b = a.map((_, i) => a[(i * 37) % a.length] as number);
    fc.assert(
      fc.property(tree, (expr) => {
        const doubles = Array.from(a, (v, i) => evaluateExpr(expr, [v, b[i] as number]));
        for (const target of rows) {
          const got = compute(target, expr, a, b);
          // A comparison of nearly equal numbers may go either way.
          const wrong = doubles.filter((want, i) => !(Math.abs((got[i] as number) - want) <= 1e-5 * (1 + Math.abs(want)))).length;
          expect(wrong).toBeLessThanOrEqual(5);
        }
      }),
      { numRuns: 60, seed: 3 },
    );
  });
});
