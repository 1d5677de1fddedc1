import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { formatTable } from "../../src/cli/table.ts";
import { type Target, targets } from "../../src/codegen/target.ts";
import { type Costs, canonicalText } from "../../src/kernels/costs.ts";
import { lower } from "../../src/lower/index.ts";
import { type Core, coreNames, countCalls, type Estimate } from "../../src/node/arm64/index.ts";
import type { Candidate } from "../../src/tune/candidates.ts";
import { defaultCosts, measuredCosts, parseTuningLog } from "../../src/tune/index.ts";
import { linkCandidates } from "../../src/tune/link-candidates.ts";
import { type Layer, layersThat } from "../layers.ts";
import { formatWeights, layerGraph } from "../shapes.ts";

const usage = `npm run bench:arm -- kernels [filter …] [options]

Counts the kernels of the layers of bench/shapes/*.txt as they are compiled, dense and pruned: whole calls, one thread, in arm64 Node. Of pruned weights only
non-zeros count as multiply-adds. A filter is a part of a layer's line with the net's name in front and its weights behind; all have to be in it, and of nets one.

  --traces N       machine code of the N costliest traces of each call
  --core NAME      which core's cycles tell what is costly; default a76
  --target NAME    wasm-arm64-relaxed (default) or wasm-arm64-plain
  --tuning FILE    a log of cadnn tune to compile with
  --json           print JSON instead of a table`;

interface Counted {
  readonly layer: Layer;
  readonly candidate: Candidate;
  readonly estimate: Estimate | undefined;
}

/** The kernels of a layer; copies into padded planes are left out: in a net, whatever comes before writes there. */
function candidatesOf({ shape, weights }: Layer, target: Target, costs: Costs): Candidate[] {
  const { calls, prepare } = lower(layerGraph(shape, weights), target, { costs });
  return calls
    .filter((call) => !call.template.name.startsWith("x32-"))
    .map((call) => ({ target, call, prepare: prepare.filter((task) => call.operands.some(({ buffer }) => buffer === task.to)), choice: canonicalText(call.choice) }));
}

/** All calls of one layer in one guest. */
async function count(layer: Layer, candidates: readonly Candidate[]): Promise<Counted[]> {
  const { module, pages, kernels, fillMemory } = linkCandidates(candidates);
  const memory = new Uint8Array((await fillMemory()).buffer);
  const estimates = await countCalls({ module, pages, memory, calls: kernels.map(({ name, addresses, items }) => ({ name, runs: [[...addresses, 0, items]] })) });
  return candidates.map((candidate, i) => ({ layer, candidate, estimate: estimates[i] }));
}

const millions = (value: number | undefined): string => (value === undefined ? "" : (value / 1e6).toFixed(2));

function rowOf({ layer, candidate: { call, choice }, estimate }: Counted): (string | undefined)[] {
  const cells = coreNames.map((core) => (estimate === undefined ? "" : `${millions(estimate.cycles[core])} (${(call.macs / estimate.cycles[core]).toFixed(2)})`));
  return [layer.net, layer.shape.node, formatWeights(layer.weights), call.template.name, choice.replaceAll('"', ""), millions(estimate?.instructions), ...cells];
}

/** The costliest traces of a call with their share of its cycles. */
function tracesOf({ estimate }: Counted, core: Core, top: number): string {
  if (estimate === undefined) return "";
  const share = ({ runs, cycles }: Estimate["traces"][number]) => (runs * cycles[core]) / estimate.cycles[core];
  const shown = [...estimate.traces].sort((a, b) => share(b) - share(a)).slice(0, top);
  const head = (t: (typeof shown)[number]) =>
    `${Math.round(t.runs)} runs of a ${t.loop ? "loop" : "straight piece"}, ${t.cycles[core].toFixed(1)} cycles each, ${(100 * share(t)).toFixed(1)} % on ${core.toUpperCase()}`;
  return shown.map((t) => `\n${head(t)}\n${t.code.map((line) => `  ${line}`).join("\n")}`).join("\n");
}

/** Gives the exit code. */
export async function measureKernels(args: readonly string[]): Promise<number> {
  const text = { type: "string" } as const;
  const flag = { type: "boolean", default: false } as const;
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { traces: text, core: text, target: text, tuning: text, json: flag, help: { ...flag, short: "h" } },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const name = values.target ?? "wasm-arm64-relaxed";
  if (name !== "wasm-arm64-relaxed" && name !== "wasm-arm64-plain") throw new Error(`--target takes wasm-arm64-relaxed or wasm-arm64-plain, not ${name}`);
  const core = coreNames.find((c) => c === (values.core ?? "a76"));
  if (core === undefined) throw new Error(`--core takes ${coreNames.join(", ")}, not ${values.core}`);
  const target = targets[name];
  const costs = values.tuning === undefined ? defaultCosts : measuredCosts(parseTuningLog(readFileSync(values.tuning, "utf8")), { shipped: defaultCosts });
  const layers = layersThat(positionals);
  if (layers.length === 0) throw new Error(`no layer has all of ${positionals.join(" ")} in its line`);
  const all: Counted[] = [];
  for (const [i, layer] of layers.entries()) {
    process.stderr.write(`${i + 1} of ${layers.length}: ${layer.net} ${layer.shape.node} ${formatWeights(layer.weights)}\n`);
    all.push(...(await count(layer, candidatesOf(layer, target, costs))));
  }
  if (values.json) {
    const rows = all.map(({ layer, candidate: { call, choice }, estimate }) => ({
      ...{
        net: layer.net,
        layer: layer.shape.node,
        weights: formatWeights(layer.weights),
        count: layer.shape.count,
        kernel: call.template.name,
        choice: JSON.parse(choice) as unknown,
        macs: call.macs,
      },
      ...{ instructions: estimate?.instructions, cycles: estimate?.cycles, bound: estimate?.bound },
    }));
    process.stdout.write(`${JSON.stringify({ target: name, layers: rows }, null, 1)}\n`);
    return 0;
  }
  const right = (title: string) => ({ title, align: "right" }) as const;
  const columns = [...["net", "layer", "weights", "kernel", "choice"].map((title) => ({ title })), right("instructions"), ...coreNames.map((c) => right(c.toUpperCase()))];
  console.log(`${formatTable(columns, all.map(rowOf))}\n\nMillions for one call; in brackets multiply-adds a cycle.`);
  const top = Number(values.traces ?? 0);
  if (top > 0) for (const counted of all) console.log(`\n${rowOf(counted).slice(0, 5).join(" ")}${tracesOf(counted, core, top)}`);
  return 0;
}
