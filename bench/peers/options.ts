import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { contenders, usualContenders } from "./contenders/index.ts";
import { type Variant, variants } from "./models.ts";

export const help = `Measures contenders on the same nets, in turns: each round gives every contender its turn, and all others stand still meanwhile.

Usage: npm run bench:peers -- [OPTIONS]

  --models DIR       nets in all formats with equal weights, see docs/performance.md; also by CADNN_PEER_MODELS.
                     Without it nets come from the zoo, and contenders that read no ONNX are left out
  --nets LIST        default resnet50,mobilenet_v1,mobilenet_v2,inception_v3
  --variants LIST    dense, sparse; default both, which are measured in one run
  --contenders LIST  default ${usualContenders};
                     also ${Object.keys(contenders)
                       .filter((name) => !usualContenders.split(",").includes(name))
                       .join(", ")}
  --python PATH      a Python that has ai_edge_litert or tensorflow, for tflite
  --threads LIST     default 1,2; each number is a run of its own
  --rounds N         default 10; 0 for cold starts only
  --runs N           timed inferences a turn, after 50 ms of others, one at least; default 3
  --warmup MS        inferences before the first round, and on until they get no faster; default 1500
  --cold N           starts of each contender in a fresh browser, from the model's bytes to the first result; default 5. With the first number of threads
  --json             print JSON instead of tables
  --tuning FILE      a log of cadnn tune that cadnn's files are compiled with
  --out FILE         the JSON to update, default bench/results/peers.json; the chart goes beside it
`;

export interface Options {
  readonly help: boolean;
  readonly json: boolean;
  readonly models: string | undefined;
  readonly out: string | undefined;
  readonly python: string | undefined;
  readonly tuning: string | undefined;
  readonly nets: readonly string[];
  readonly variants: readonly Variant[];
  readonly contenders: readonly string[];
  readonly threads: readonly number[];
  readonly rounds: number;
  readonly runs: number;
  readonly warmupMs: number;
  readonly cold: number;
}

function integers(text: string, name: string, least = 1): number[] {
  const values = text.split(",").map(Number);
  if (values.some((v) => !Number.isSafeInteger(v) || v < least)) throw new Error(`--${name} takes integers from ${least}, not ${text}`);
  return values;
}

function namesOf<T extends string>(text: string, known: readonly T[], what: string): T[] {
  return text.split(",").map((name) => {
    const found = known.find((k) => k === name.trim());
    if (found === undefined) throw new Error(`there is no ${what} ${name}; there are ${known.join(", ")}`);
    return found;
  });
}

/** npm starts workspaces in their own folder; paths are meant from where the user is. */
const fromUser = (path: string | undefined): string | undefined => (path === undefined ? undefined : resolve(process.env.INIT_CWD ?? ".", path));

/** Throws on what it does not understand. */
export function parseOptions(args: readonly string[]): Options {
  const text = (value: string) => ({ type: "string", default: value }) as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...{ nets: text("resnet50,mobilenet_v1,mobilenet_v2,inception_v3"), variants: text("dense,sparse"), contenders: text(usualContenders), threads: text("1,2") },
      ...{ rounds: text("10"), runs: text("3"), warmup: text("1500"), cold: text("5") },
      ...{
        models: { type: "string" },
        python: { type: "string" },
        tuning: { type: "string" },
        json: { type: "boolean" },
        out: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    },
  });
  const single = (name: "rounds" | "runs" | "warmup" | "cold", least = 1) => integers(values[name], name, least)[0] as number;
  return {
    help: values.help === true,
    json: values.json === true,
    models: fromUser(values.models ?? process.env.CADNN_PEER_MODELS),
    out: fromUser(values.out),
    python: values.python,
    tuning: fromUser(values.tuning),
    nets: values.nets.split(","),
    variants: namesOf(values.variants, variants, "variant"),
    contenders: namesOf(values.contenders, Object.keys(contenders), "contender"),
    threads: integers(values.threads, "threads"),
    rounds: single("rounds", 0),
    runs: single("runs"),
    warmupMs: single("warmup"),
    cold: single("cold", 0),
  };
}
