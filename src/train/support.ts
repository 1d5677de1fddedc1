import { CadnnError } from "../errors.ts";
import type { Stepper } from "./stepper.ts";
import type { TrainingGraph } from "./training-graph.ts";

/**
 * Weights with at most this share of elements that may differ from 0 are trained as lists of these. Lowering chooses between dense and sparse products of such a list; what
 * its gradient costs, and the optimizer, is in proportion to it. Measured on x64 with a first layer of which 60 % are left.
 */
const sparseShare = 0.7;

/** The elements of a weight, by row-major index, that are trained or frozen at another value than 0; `undefined` where they are so many that the weight stays whole, or none. */
export function supportOf(weight: Float32Array, mask: Float32Array): Int32Array | undefined {
  const indices = new Int32Array(weight.length);
  let count = 0;
  for (let i = 0; i < weight.length; i++) {
    indices[count] = i;
    if (weight[i] !== 0 || mask[i] !== 0) count++;
  }
  return count === 0 || count > sparseShare * weight.length ? undefined : indices.slice(0, count);
}

/** The stepper as if all parameters were whole: those that the graph holds as lists of elements are 0 elsewhere. What is written elsewhere is lost. */
export function wholeParameters(stepper: Stepper, { supports }: Pick<TrainingGraph, "supports">): Stepper {
  return {
    ...stepper,
    async readParameter(name) {
      const values = await stepper.readParameter(name);
      const support = supports.get(name);
      if (support === undefined) return values;
      const whole = new Float32Array(support.size);
      support.indices.forEach((index, i) => {
        whole[index] = values[i] as number;
      });
      return whole;
    },
    async writeParameter(name, data) {
      const support = supports.get(name);
      if (support === undefined) return stepper.writeParameter(name, data);
      if (data.length !== support.size) throw new CadnnError("E_SHAPE_MISMATCH", `parameter ${name} has ${support.size} elements, given ${data.length}`, { at: name });
      return stepper.writeParameter(
        name,
        Float32Array.from(support.indices, (index) => data[index] as number),
      );
    },
  };
}
