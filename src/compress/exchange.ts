import type { Phase, PhaseDriver } from "../train/run.ts";
import type { ExchangePlan } from "./plan.ts";

/** A weight tensor of which only the elements whose mask is 1 are kept, and what the steps since the last exchange summed up. */
export interface Exchangeable {
  readonly values: Float32Array;
  /** 0 or 1 each. */
  readonly mask: Float32Array;
  /** Sums over steps of the gradient g of the loss and of g². */
  readonly gradients: Float32Array;
  readonly squares: Float32Array;
}

/** One element of all those that may be exchanged for one another. */
interface Element {
  readonly of: Exchangeable;
  readonly index: number;
  readonly score: number;
}

/**
 * Exchanges a share of the kept elements for as many pruned ones, in `mask`. Both are weighed by a second-order model of the loss whose curvature is the mean of
 * g², as the empirical Fisher information has it: to drop w costs about w² · mean(g²) (LeCun et al., Optimal Brain Damage), to free an element that is 0 gains about
 * mean(g)² / mean(g²). Gives, for each tensor, the elements dropped and freed. Equal scores go by their place.
 */
export function exchange(tensors: readonly Exchangeable[], share: number): Map<Exchangeable, { readonly dropped: Int32Array; readonly freed: Int32Array }> {
  const kept: Element[] = [];
  const pruned: Element[] = [];
  for (const of of tensors) {
    const { values, mask, gradients, squares } = of;
    for (let index = 0; index < values.length; index++) {
      const [w, g, g2] = [values[index] as number, gradients[index] as number, squares[index] as number];
      if (mask[index] !== 0) kept.push({ of, index, score: w * w * g2 });
      else if (g2 > 0) pruned.push({ of, index, score: (g * g) / g2 });
    }
  }
  const count = Math.min(Math.round(share * kept.length), pruned.length);
  kept.sort((a, b) => a.score - b.score);
  pruned.sort((a, b) => b.score - a.score);
  const [dropped, freed] = [kept.slice(0, count), pruned.slice(0, count)];
  for (const { of, index } of dropped) of.mask[index] = 0;
  for (const { of, index } of freed) of.mask[index] = 1;
  const own = (list: readonly Element[], tensor: Exchangeable) => Int32Array.from(list.filter(({ of }) => of === tensor).map(({ index }) => index));
  return new Map(tensors.map((tensor) => [tensor, { dropped: own(dropped, tensor), freed: own(freed, tensor) }]));
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
    const changes = exchange(tensors, share);
    for (const tensor of tensors) {
      const { name, values, mask, gradients, squares } = tensor;
      const { dropped, freed } = changes.get(tensor) as { dropped: Int32Array; freed: Int32Array };
      const reset = (data: Float32Array, fresh: (index: number) => number) => {
        for (const index of dropped) data[index] = 0;
        for (const index of freed) data[index] = fresh(index);
      };
      reset(values, () => 0);
      await stepper.writeParameter(name, values);
      await stepper.writeParameter(`${name}.mask`, mask);
      for (const moment of training.state.filter((s) => s.startsWith(`${name}.`))) {
        const data = await stepper.readParameter(moment);
        reset(data, (index) => (moment === `${name}.adam_v` ? (squares[index] as number) / sinceLast : 0));
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
