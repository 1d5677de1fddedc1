import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { type Variant, variants } from "../peers/models.ts";
import { type ContenderName, contenderNames } from "./contenders.ts";

export const usualNets: readonly string[] = ["mobilenet_v1", "mobilenet_v2", "resnet50", "inception_v3"];

export const help = `Counts one inference of each contender on emulated ARM64, and estimates its cycles on five cores.

Usage: npm run bench:arm -- [OPTIONS]           the nets
       npm run bench:arm -- kernels [FILTER …]  the layers of bench/shapes, see npm run bench:arm -- kernels --help

  --models DIR       nets in all formats with equal weights, see docs/performance.md; also by CADNN_PEER_MODELS.
                     Without it nets come from the zoo, and contenders that read no ONNX are left out
  --nets LIST        default ${usualNets.join(",")}
  --variants LIST    dense, sparse; default both
  --contenders LIST  default ${contenderNames.join(", ")}
  --tuning FILE      a log of cadnn tune that cadnn's files are compiled with
  --jobs N           emulations at once; default 2
  --cache DIR        figures that are there already, by the hashes of all that they depend on; default in the user's cache
  --json             print JSON instead of tables
  --out FILE         the JSON to write, default bench/results/arm.json if everything is measured; the chart goes beside it

Needs qemu-user, LLVM's llvm-mca, a C compiler, and for arm64 the C++ library, JavaScriptCore's shell and Node. .ci/run shows how to install them.`;

export interface Options {
  readonly help: boolean;
  readonly json: boolean;
  readonly models: string | undefined;
  readonly tuning: string | undefined;
  readonly cache: string | undefined;
  readonly out: string | undefined;
  readonly nets: readonly string[];
  readonly variants: readonly Variant[];
  readonly contenders: readonly ContenderName[];
  readonly jobs: number;
}

function namesOf<T extends string>(text: string | undefined, known: readonly T[], what: string): readonly T[] {
  if (text === undefined) return known;
  return text.split(",").map((name) => {
    const found = known.find((k) => k === name.trim());
    if (found === undefined) throw new Error(`there is no ${what} ${name}; there are ${known.join(", ")}`);
    return found;
  });
}

/** Throws on what it does not understand. */
export function parseOptions(args: readonly string[]): Options {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...{ models: text, nets: text, variants: text, contenders: text, tuning: text, jobs: text, cache: text, out: text },
      ...{ json: { type: "boolean" }, help: { type: "boolean", short: "h" } },
    },
  });
  const jobs = Number(values.jobs ?? 2);
  if (!Number.isSafeInteger(jobs) || jobs < 1) throw new Error(`--jobs takes an integer from 1, not ${values.jobs}`);
  const path = (value: string | undefined) => (value === undefined ? undefined : resolve(value));
  return {
    help: values.help === true,
    json: values.json === true,
    models: path(values.models ?? process.env.CADNN_PEER_MODELS),
    tuning: path(values.tuning),
    cache: path(values.cache),
    out: path(values.out),
    nets: values.nets?.split(",") ?? usualNets,
    variants: namesOf(values.variants, variants, "variant"),
    contenders: namesOf(values.contenders, contenderNames, "contender"),
    jobs,
  };
}
