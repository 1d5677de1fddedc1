import type { Phase, PhaseDriver } from "../train/run.ts";
import type { ExchangePlan } from "./plan.ts";
import { selectLargest } from "./projections/select.ts";

/** A weight tensor of which only the elements whose mask is 1 are kept, and what the steps since the last exchange summed up. */
export interface Exchangeable {
  readonly values: Float32Array;
  /** 0 or 1 each. */
  readonly mask: Float32Array;
  /** Sums over steps of the gradient g of the loss and of g². */
  readonly gradients: Float32Array;
  readonly squares: Float32Array;
}

/**
 * Exchanges a share of the kept elements for as many pruned ones, and gives the new masks. Both are weighed by a second-order model of the loss whose curvature is the mean of
 * g², as the empirical Fisher information has it: to drop w costs about w² · mean(g²) (LeCun et al., Optimal Brain Damage), to free an element that is 0 gains about
 * mean(g)² / mean(g²). Elements without any gradient are not freed. Of equal ones the first stay, and are freed. Linear time.
 */
export function exchange(tensors: readonly Exchangeable[], share: number): Float32Array[] {
  const size = tensors.reduce((n, { values }) => n + values.length, 0);
  const [costs, gains] = [new Float64Array(size), new Float64Array(size)];
  let [kept, pruned] = [0, 0];
  const isFree = ({ mask, squares }: Exchangeable, i: number) => mask[i] === 0 && (squares[i] as number) > 0;
  for (const tensor of tensors)
    tensor.values.forEach((w, i) => {
      const [g, g2] = [tensor.gradients[i] as number, tensor.squares[i] as number];
      if (tensor.mask[i] !== 0) costs[kept++] = w * w * g2;
      else if (isFree(tensor, i)) gains[pruned++] = (g * g) / g2;
    });
  const count = Math.min(Math.round(share * kept), pruned);
  const stays = selectLargest(costs.slice(0, kept), kept - count);
  const freed = selectLargest(gains.slice(0, pruned), count);
  [kept, pruned] = [0, 0];
  return tensors.map((tensor) => tensor.mask.map((on, i) => Number(on !== 0 ? stays[kept++] : isFree(tensor, i) && freed[pruned++])));
}

export interface ExchangePhase {
  readonly plan: ExchangePlan;
  /** Weights whose elements may be exchanged for one another. The graph has residents `NAME.mask`, `NAME.gradients` and `NAME.squares` for each. */
  readonly groups: readonly (readonly string[])[];
}

type Context = Parameters<NonNullable<Phase<unknown>["driver"]>>[0];

/**
 * Between epochs of training under masks, exchanges weights that matter least for pruned ones that the loss asks for (compare RigL, Evci et al., arXiv 1911.11134), each time a
 * smaller share: it falls to 0 as half a cosine. Freed weights begin at 0, with their own mean square as Adam's second moment, so that their first steps are no leaps.
 */
export function exchangeDriver({ plan, groups }: ExchangePhase, { stepper, training, steps, state }: Context): PhaseDriver {
  const times = Math.max(1, Math.round(plan.epochs));
  const dueBefore = (step: number): number => Math.floor((step * times) / steps);
  const exchangeGroup = async (names: readonly string[], share: number, sinceLast: number): Promise<void> => {
    const tensors = await Promise.all(
      names.map(async (name) => ({
        name,
        values: await stepper.readParameter(name),
        mask: await stepper.readParameter(`${name}.mask`),
        gradients: await stepper.readParameter(`${name}.gradients`),
        squares: await stepper.readParameter(`${name}.squares`),
      })),
    );
    const masks = exchange(tensors, share);
    for (const [t, { name, values, mask: before, gradients, squares }] of tensors.entries()) {
      const mask = masks[t] as Float32Array;
      const reset = (data: Float32Array, fresh: (index: number) => number) => {
        for (let i = 0; i < data.length; i++) if (mask[i] !== before[i]) data[i] = mask[i] === 0 ? 0 : fresh(i);
      };
      reset(values, () => 0);
      await stepper.writeParameter(name, values);
      await stepper.writeParameter(`${name}.mask`, mask);
      for (const moment of training.state.filter((s) => s.startsWith(`${name}.`))) {
        const data = await stepper.readParameter(moment);
        reset(data, (i) => (moment === `${name}.adam_v` ? (squares[i] as number) / sinceLast : 0));
        await stepper.writeParameter(moment, data);
      }
      await stepper.writeParameter(`${name}.gradients`, gradients.fill(0));
      await stepper.writeParameter(`${name}.squares`, squares.fill(0));
    }
  };
  return {
    async before(step) {
      const due = dueBefore(step);
      if (step === 0 || due === dueBefore(step - 1)) return;
      const share = plan.share * 0.5 * (1 + Math.cos((Math.PI * due) / times));
      const sinceLast = step - Math.ceil(((due - 1) * steps) / times);
      for (const names of groups) await exchangeGroup(names, share, sinceLast);
    },
    async finish() {
      for (const name of groups.flat()) state.masks.set(name, await stepper.readParameter(`${name}.mask`));
    },
  };
}
