import type { Core } from "../../src/node/arm64/index.ts";
import type { Variant } from "../peers/models.ts";
import type { ContenderName } from "./contenders.ts";
import type { Measurement } from "./measure.ts";

/** One cell of what is aimed at: a ratio of estimated cycles that must be at least so large, or cycles that may be at most so many. */
export interface Bar {
  readonly what: string;
  readonly net: string;
  readonly core: Core;
  /** Undefined where something was not measured. */
  readonly value: number | undefined;
  readonly limit: number;
  readonly atMost?: boolean;
  readonly unit: "×" | "million cycles";
}

export const isMet = ({ value, limit, atMost }: Bar): boolean | undefined => (value === undefined ? undefined : atMost === true ? value <= limit : value >= limit);

type Limits = Readonly<Partial<Record<Core, number>>>;
interface Rule {
  readonly what: string;
  readonly nets: readonly string[];
  readonly own: readonly [ContenderName, Variant];
  /** The best of these, with those weights. */
  readonly peers: readonly (readonly [ContenderName, Variant])[];
  readonly limits: Limits;
}

const large = ["resnet50", "inception_v3"] as const;
const mobile = ["mobilenet_v1", "mobilenet_v2"] as const;
const densePeers = [
  ["litert", "dense"],
  ["tfjs", "dense"],
  ["onnxruntime-web", "dense"],
] as const;
const int8 = [["litert-int8", "dense"]] as const;
const sparseEncoded = [["litert-sparse", "sparse"]] as const;
const onnxruntime = [["onnxruntime-web", "dense"]] as const;

const rules: readonly Rule[] = [
  { what: "dense / best dense peer", nets: large, own: ["cadnn", "dense"], peers: densePeers, limits: { a55: 3, a76: 1.5, a710: 1.4, x1: 1.4 } },
  { what: "dense / best dense peer", nets: mobile, own: ["cadnn", "dense"], peers: densePeers, limits: { a55: 2.5, a76: 1.4, a710: 1.3, x1: 1.35 } },
  { what: "sparse / best dense peer", nets: large, own: ["cadnn", "sparse"], peers: densePeers, limits: { a55: 12, a76: 6, a710: 8, x1: 6.5 } },
  { what: "sparse / LiteRT.js sparse-encoded", nets: mobile, own: ["cadnn", "sparse"], peers: sparseEncoded, limits: { a55: 2.4, a76: 1.3, a710: 1.45, x1: 1.4 } },
  { what: "sparse / LiteRT.js int8", nets: ["resnet50"], own: ["cadnn", "sparse"], peers: int8, limits: { a55: 12, a76: 5.5, a710: 8, x1: 7 } },
  { what: "sparse / LiteRT.js int8", nets: mobile, own: ["cadnn", "sparse"], peers: int8, limits: { a55: 7, a76: 3, a710: 5, x1: 3.5 } },
  { what: "plain, dense / onnxruntime-web", nets: [...large, ...mobile], own: ["cadnn-plain", "dense"], peers: onnxruntime, limits: { a76: 1.25, x1: 1.25 } },
  { what: "plain, sparse / onnxruntime-web", nets: large, own: ["cadnn-plain", "sparse"], peers: onnxruntime, limits: { a76: 6, x1: 6 } },
];

/** Cycles at which a core of that clock takes 26 ms: X1 at 2.8 GHz alone; four cores of A73's class at 2.45 GHz that scale by 0.8. */
const within26ms: Limits = { x1: 72.8e6, a73: 200e6, a76: 200e6 };

export function barsOf(measurements: readonly Measurement[]): Bar[] {
  const find = (net: string, [contender, variant]: readonly [string, Variant]) => measurements.find((m) => m.net === net && m.contender === contender && m.variant === variant);
  const cores = (limits: Limits) => Object.entries(limits) as [Core, number][];
  const ratios = rules.flatMap(({ what, nets, own, peers, limits }) =>
    nets.flatMap((net) =>
      cores(limits).map(([core, limit]): Bar => {
        const mine = find(net, own)?.cycles[core];
        const theirs = peers.map((peer) => find(net, peer)?.cycles[core]).filter((c) => c !== undefined);
        const value = mine === undefined || theirs.length < peers.length ? undefined : Math.min(...theirs) / mine;
        return { what, net, core, value, limit, unit: "×" };
      }),
    ),
  );
  const sparse = find("resnet50", ["cadnn", "sparse"]);
  const absolute = cores(within26ms).map(([core, limit]): Bar => {
    const cycles = sparse?.cycles[core];
    return { what: "sparse, 26 ms", net: "resnet50", core, value: cycles === undefined ? undefined : cycles / 1e6, limit: limit / 1e6, atMost: true, unit: "million cycles" };
  });
  const jsc = [find("resnet50", ["cadnn-jsc-direct", "dense"]), find("resnet50", ["cadnn-jsc", "sparse"])] as const;
  const gains = (["a76", "x1"] as const).map((core): Bar => {
    const value = jsc[0] === undefined || jsc[1] === undefined ? undefined : jsc[0].cycles[core] / jsc[1].cycles[core];
    return { what: "JavaScriptCore, sparse / own dense without Winograd", net: "resnet50", core, value, limit: 6, unit: "×" };
  });
  return [...ratios, ...absolute, ...gains];
}
