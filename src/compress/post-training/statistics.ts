import type { Weights } from "../../train/weights.ts";
import type { Moments } from "./moments.ts";
import type { LinearLayer } from "./targets.ts";

/** How a group of a layer did, output by output, in the original coordinates. */
export interface GroupOutcome {
  readonly moments: Pick<Moments, "meanX" | "meanY" | "energy">;
  /** Variance of each output with the new weights, W G Wᵀ. */
  readonly variance: Float64Array;
  /** W · mean of X, without bias. */
  readonly meanWx: Float64Array;
}

/**
 * The bias, or BatchNorm's mean and variance, that make up for the new weights: outputs get the dense net's mean and, where a
 * BatchNorm follows, after it also its variance. Relative to the dense net's statistics, so that what the few images say about the
 * data in general, beside what the compression did, does not come in.
 */
export function estimatedStatistics({ bias, norm }: LinearLayer, outcomes: readonly GroupOutcome[]): Weights {
  const perOutput = outcomes.flatMap(({ moments, variance, meanWx }) =>
    Array.from(variance, (v, i) => ({ meanY: moments.meanY[i] as number, meanWx: meanWx[i] as number, before: Math.max(moments.energy[i] as number, 0), after: Math.max(v, 0) })),
  );
  const result = new Map<string, Float32Array>();
  if (bias !== undefined)
    result.set(
      bias.name,
      Float32Array.from(perOutput, ({ meanY, meanWx }) => meanY - meanWx),
    );
  if (norm === undefined) return result;
  const [means, variances] = [norm.mean.data as Float32Array, norm.variance.data as Float32Array];
  const nextMeans = means.slice();
  const nextVariances = variances.slice();
  perOutput.forEach(({ meanY, meanWx, before, after }, i) => {
    const variance = variances[i] as number;
    // A dead output has no variance to be scaled up.
    const ratio = before > 0 && after > 1e-4 * before ? Math.min(2, Math.max(0.05, after / before)) : 1;
    nextVariances[i] = variance * ratio;
    const meanNow = bias === undefined ? meanWx : meanY;
    nextMeans[i] = meanNow - (meanY - (means[i] as number)) * Math.sqrt(((nextVariances[i] as number) + norm.epsilon) / (variance + norm.epsilon));
  });
  result.set(norm.mean.name, nextMeans);
  result.set(norm.variance.name, nextVariances);
  return result;
}
