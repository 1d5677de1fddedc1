import { CadnnError } from "../../errors.ts";

/** One way to have a layer. */
export interface Option {
  readonly loss: number;
  /** In the unit of the budget. */
  readonly cost: number;
}

const buckets = 4000;

/**
 * Of each layer the option with which Σ loss is least among all choices with Σ cost ≤ `budget`: a knapsack with multiple choice, by dynamic programming over
 * the cost (as in Frantar & Alistarh, "SPDY", arXiv 2201.13096), which is rounded up to 1/4000 of the budget, so that the budget holds and the optimum is missed by
 * no more than that rounding; what the rounding left over goes to single layers. Gives the index of an option for each layer; of equal losses the one of less cost.
 * @throws `E_INVALID_OPTION` if even the cheapest options take more.
 */
export function allocate(layers: readonly (readonly Option[])[], budget: number): number[] {
  const least = layers.reduce((sum, options) => sum + Math.min(...options.map((o) => o.cost)), 0);
  if (!(budget >= least))
    throw new CadnnError("E_INVALID_OPTION", `the budget is ${budget.toPrecision(3)}, and the least that the layers can take is ${least.toPrecision(3)}`, {
      at: "budget",
      hint: "Allow more, or lower densities.",
    });
  // Every layer takes its cheapest option at least; what is shared out is the rest.
  const cheapest = layers.map((options) => Math.min(...options.map((o) => o.cost)));
  const rest = budget - least;
  const unit = rest / buckets;
  const extra = (option: Option, i: number) => {
    const more = option.cost - (cheapest[i] as number);
    return more <= 0 ? 0 : unit > 0 ? Math.ceil(more / unit - 1e-9) : buckets + 1;
  };
  // best[b]: least loss of the layers so far with at most b units; chosen[i][b]: the option of layer i that it comes from.
  let best = new Float64Array(buckets + 1);
  const chosen = layers.map((options, i) => {
    const next = new Float64Array(buckets + 1).fill(Number.POSITIVE_INFINITY);
    const from = new Int32Array(buckets + 1);
    const order = options.map((option, o) => ({ o, loss: option.loss, units: extra(option, i) })).sort((a, b) => a.units - b.units || a.loss - b.loss);
    for (const { o, loss, units } of order)
      for (let b = units; b <= buckets; b++) {
        const sum = (best[b - units] as number) + loss;
        if (sum < (next[b] as number)) {
          next[b] = sum;
          from[b] = o;
        }
      }
    best = next;
    return from;
  });
  const result = new Array<number>(layers.length);
  let left = best.indexOf(best[buckets] as number);
  for (let i = layers.length - 1; i >= 0; i--) {
    const o = (chosen[i] as Int32Array)[left] as number;
    result[i] = o;
    left -= extra(layers[i]?.[o] as Option, i);
  }
  return spend(layers, result, budget);
}

/** Changes one layer at a time, that of the greatest gain first, as long as the budget allows. */
function spend(layers: readonly (readonly Option[])[], chosen: readonly number[], budget: number): number[] {
  const result = [...chosen];
  const at = (i: number, o: number) => layers[i]?.[o] as Option;
  for (;;) {
    const spare = budget - result.reduce((sum, o, i) => sum + at(i, o).cost, 0);
    let best = { gain: 0, i: 0, o: 0 };
    layers.forEach((options, i) => {
      const now = at(i, result[i] as number);
      options.forEach((option, o) => {
        const gain = now.loss - option.loss;
        if (option.cost - now.cost <= spare && gain > best.gain) best = { gain, i, o };
      });
    });
    if (best.gain === 0) return result;
    result[best.i] = best.o;
  }
}
