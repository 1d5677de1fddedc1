import { type Costs, estimatedCosts } from "../kernels/costs.ts";

/** Parts of lowering that can be left out, to see what each of them gains; all are on unless said otherwise. */
export interface LoweringSwitches {
  /**
   * Values lie as most of their consumers want them, weights in the order in which a tile reads them, and parts of a concatenation in its
   * buffer. Else all are row-major, and a layer that wants padding or phases copies its input for itself alone.
   */
  readonly layout: boolean;
  /** Choices of kernels in which a loaded vector serves several filters or rows. */
  readonly loadElimination: boolean;
  /** 3×3 convolutions by fewer multiplications. */
  readonly winograd: boolean;
}

export interface LowerOptions extends Partial<LoweringSwitches> {
  /** What kernels cost; estimates, if left out. */
  readonly costs?: Costs;
}

export const defaultLowerOptions: Required<LowerOptions> = { layout: true, loadElimination: true, winograd: true, costs: estimatedCosts };
