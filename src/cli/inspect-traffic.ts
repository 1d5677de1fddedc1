import type { TargetName } from "../artifact/manifest.ts";
import { targets } from "../codegen/target.ts";
import type { Graph } from "../ir/graph.ts";
import { lower } from "../lower/index.ts";
import { legalize } from "../lower/legalize.ts";
import { type Traffic, trafficOf } from "../lower/traffic.ts";
import { optimize } from "../passes/index.ts";
import { defaultCosts } from "../tune/shipped-costs.ts";
import type { Report } from "./command.ts";
import { formatBytes } from "./format.ts";
import { formatPairs, formatTable } from "./table.ts";

/** Sizes of caches that phones' cores have, bytes. */
const caches = { l1: [32768, 65536], l2: 524288 } as const;

interface Row extends Traffic {
  readonly node: string;
  readonly kernel: string;
  /** Whether what tiles come back to fits the first-level caches, and with the weights that are walked more than once the second-level one. */
  readonly fits: { readonly l1: readonly boolean[]; readonly l2: boolean };
}

/** Bytes that every kernel call reads and writes by the plan for a target, and which calls come back to more than the caches of phones' cores hold. */
export function inspectTraffic(graph: Graph, target: TargetName): Report {
  const { calls } = lower(legalize(optimize(graph)), targets[target], { costs: defaultCosts });
  const rows = calls.map((call): Row => {
    const traffic = trafficOf(call);
    const all = (traffic.walks > 1 ? traffic.weights : 0) + traffic.tile;
    return { node: call.node, kernel: call.template.name, ...traffic, fits: { l1: caches.l1.map((size) => traffic.tile <= size), l2: all <= caches.l2 } };
  });
  const sum = (of: (row: Row) => number) => formatBytes(rows.reduce((total, row) => total + of(row), 0));
  const right = (title: string) => ({ title, align: "right" }) as const;
  const text = [
    formatTable(
      [{ title: "node" }, { title: "kernel" }, right("weights"), right("walks"), right("read"), right("written"), right("tile"), { title: "larger than" }],
      rows.map((r) => [
        r.node,
        r.kernel,
        ...[r.weights === 0 ? "" : formatBytes(r.weights), r.weights === 0 ? "" : r.walks],
        ...[r.read, r.written, r.tile].map(formatBytes),
        largerThan(r),
      ]),
    ),
    formatPairs([
      ["net", graph.name],
      ["target", target],
      ["weights", `${sum((r) => r.weights)}; walked ${sum((r) => r.weights * r.walks)}`],
      ["activations", `${sum((r) => r.read)} read, ${sum((r) => r.written)} written`],
      ...caches.l1.map((size, i) => [`tiles above ${size / 1024} KiB`, `${rows.filter((r) => r.fits.l1[i] === false).length} of ${rows.length} calls`] as const),
      [`with weights above ${caches.l2 / 1024} KiB`, `${rows.filter((r) => !r.fits.l2).length} of ${rows.length}`],
    ]),
  ].join("\n\n");
  return { text, json: { kind: "traffic", name: graph.name, target, caches, calls: rows } };
}

/** The largest first-level cache that the tile does not fit, and the second-level one if the call does not. */
function largerThan({ fits }: Row): string {
  const first = fits.l1.lastIndexOf(false);
  return [...(first < 0 ? [] : [`${(caches.l1[first] as number) / 1024} KiB L1`]), ...(fits.l2 ? [] : [`${caches.l2 / 1024} KiB L2`])].join(", ");
}
