import fc from "fast-check";
import { describe, test } from "vitest";
import { x32Fill } from "../../src/kernels/wasm/x32-fill.ts";
import { blank, checkKernel, fuzz } from "./harness.ts";

const runs = fc.array(
  fc.record({ start: fc.integer({ min: 0, max: 20 }), count: fc.constantFrom(1, 2, 3, 5), step: fc.constantFrom(1, 7, 9, 0), length: fc.constantFrom(1, 3, 4, 5, 9, 17) }),
  { maxLength: 3 },
);

const problems = fc.record({ planes: fc.constantFrom(1, 3, 5), planeStride: fc.constantFrom(120, 97), runs, value: fc.constantFrom(0, Number.NEGATIVE_INFINITY, 1.5, Number.NaN) });

describe("x32-fill", () => {
  test("sets the runs of every plane and nothing else", () => {
    fuzz(problems, 60, (problem) => {
      const expected = new Map<number, { value: number; tolerance: number }>();
      for (let plane = 0; plane < problem.planes; plane++)
        for (const { start, count, step, length } of problem.runs)
          for (let c = 0; c < count; c++) for (let i = 0; i < length; i++) expected.set(plane * problem.planeStride + start + c * step + i, { value: problem.value, tolerance: 0 });
      checkKernel({ template: x32Fill, problem, operands: { y: { data: blank(problem.planes * problem.planeStride) } }, expected });
    });
  });
});
