import { CadnnError } from "../../errors.ts";
import type { Graph, Value } from "../../ir/graph.ts";
import { fromMatrix, toMatrix } from "../layers.ts";
import { selectLargest } from "../projections/select.ts";
import { analyzeChannels, type Channels, mixesOf } from "./channels.ts";
import type { Mix } from "./relations.ts";

/** How many units stay: of the layers whose weights have these names, or this share of all, where the net allows it. */
export type UnitCounts = number | Readonly<Record<string, number>>;

/**
 * Chooses whole units: filters, channels or neurons with all weights into and out of them. Of the units that one layer puts out (or several, where
 * residual sums tie them) those of greatest ‖incoming‖ · ‖outgoing‖ stay.
 * @throws `E_INVALID_OPTION` for a layer that has no units which could go
 */
export function unitSelector(graph: Graph, counts: UnitCounts): (values: ReadonlyMap<string, Float32Array>) => Map<string, Uint8Array> {
  const channels = analyzeChannels(graph);
  const mixes = mixesOf(channels);
  const groups = groupsOf(channels, mixes);
  for (const name of typeof counts === "number" ? [] : Object.keys(counts))
    if (!groups.some(({ layers }) => layers.includes(name)))
      throw new CadnnError("E_INVALID_OPTION", `${name} puts out no units that could be removed`, {
        at: `units.${name}`,
        hint: `Layers: ${groups.flatMap((g) => g.layers).join(", ")}.`,
      });
  const keep = groups.map(({ layers, units }) => {
    const wanted = typeof counts === "number" ? Math.ceil(counts * units.length) : layers.map((name) => counts[name]).find((n) => n !== undefined);
    return Math.max(1, Math.min(units.length, wanted ?? units.length));
  });
  return (values) => {
    const { incoming, outgoing } = energies(channels, mixes, values);
    const dropped = new Uint8Array(channels.unitCount);
    groups.forEach(({ units }, g) => {
      const scores = Float64Array.from(units, (unit) => (incoming[unit] as number) * (outgoing[unit] as number));
      const kept = selectLargest(scores, keep[g] as number);
      units.forEach((unit, i) => {
        dropped[unit] = 1 - (kept[i] as number);
      });
    });
    return new Map(mixes.map((mix) => [mix.weight.name, maskOf(mix, unitsOf(channels, mix), dropped)]));
  };
}

interface UnitGroup {
  /** Names of the weights that put these units out. */
  readonly layers: string[];
  readonly units: number[];
}

const unitsOf = ({ units }: Channels, { x, y }: Mix) => ({ x: units.get(x as Value) as Int32Array, y: units.get(y as Value) as Int32Array });

/** Layers that share a unit share all of theirs. */
function groupsOf(channels: Channels, mixes: readonly Mix[]): UnitGroup[] {
  const groups: UnitGroup[] = [];
  for (const mix of mixes) {
    const own = [...new Set(unitsOf(channels, mix).y)].filter((unit) => channels.pinned[unit] === 0);
    if (own.length === 0) continue;
    const tied = groups.filter(({ units }) => own.some((unit) => units.includes(unit)));
    const merged: UnitGroup = { layers: [...tied.flatMap((g) => g.layers), mix.weight.name], units: [...new Set([...tied.flatMap((g) => g.units), ...own])] };
    for (const group of tied) groups.splice(groups.indexOf(group), 1);
    groups.push(merged);
  }
  return groups;
}

/** Σ w² into and out of each unit. */
function energies(channels: Channels, mixes: readonly Mix[], values: ReadonlyMap<string, Float32Array>): { incoming: Float64Array; outgoing: Float64Array } {
  const incoming = new Float64Array(channels.unitCount);
  const outgoing = new Float64Array(channels.unitCount);
  for (const mix of mixes) {
    const { x, y } = unitsOf(channels, mix);
    const w = toMatrix(values.get(mix.weight.name) as Float32Array, mix.matrix);
    const { inputs, taps } = mix.matrix;
    for (let at = 0; at < w.length; at++) {
      const energy = (w[at] as number) ** 2;
      const to = y[Math.floor(at / (inputs * taps))] as number;
      const from = x[Math.floor(at / taps) % inputs] as number;
      incoming[to] = (incoming[to] as number) + energy;
      outgoing[from] = (outgoing[from] as number) + energy;
    }
  }
  return { incoming, outgoing };
}

function maskOf({ matrix }: Mix, { x, y }: { x: Int32Array; y: Int32Array }, dropped: Uint8Array): Uint8Array {
  const { outputs, inputs, taps } = matrix;
  const mask = new Uint8Array(outputs * inputs * taps);
  for (let o = 0; o < outputs; o++)
    for (let i = 0; i < inputs; i++) if (dropped[y[o] as number] === 0 && dropped[x[i] as number] === 0) mask.fill(1, (o * inputs + i) * taps, (o * inputs + i + 1) * taps);
  return fromMatrix(mask, matrix);
}
