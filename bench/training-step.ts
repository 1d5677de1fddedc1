/**
 * One training step of a net (forward, backward, Adam) on generated kernels and, where python3 has it, in PyTorch, in turns. With `--zeros 0.9` so many weights of each
 * layer but the first are zero for ever, on generated kernels. `--net lenet5-348x` measures whole epochs of MNIST of a LeNet-5 that has 1,237 weights left.
 * `npx tsx bench/training-step.ts [--net lenet5] [--zeros 0] [--batch 64] [--threads 1] [--rounds 10] [--python python3] [--json]`
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { compile } from "../src/compile/index.ts";
import { elementCount } from "../src/ir/types.ts";
import { createSession } from "../src/node/index.ts";
import { makeTrainingGraph } from "../src/train/training-graph.ts";
import { createRandom } from "../src/zoo/random.ts";
import { epochSeconds } from "./training-epoch.ts";
import { pruned, trainingNet } from "./training-nets.ts";

const stepsPerRound = 20;

interface Options {
  readonly net: string;
  readonly zeros: number;
  readonly batch: number;
  readonly threads: number;
  readonly python: string;
}

interface Trainer {
  readonly name: string;
  /** Milliseconds of each step. */
  round(): Promise<number[]>;
  end(): Promise<void>;
}

async function ours({ net, zeros, batch, threads }: Options): Promise<Trainer> {
  const { graph: source, supports } = pruned(trainingNet(net), (_, size, shape) => (zeros > 0 && (shape[1] as number) > 3 ? Math.round((1 - zeros) * size) : undefined));
  const { graph, inputs } = makeTrainingGraph(source, { batch, optimizer: { kind: "adam" }, supports });
  const shape = source.inputs[0]?.type.shape.slice(1) ?? [];
  const session = await createSession(await compile(graph), { threads });
  const random = createRandom(1);
  const images = Float32Array.from({ length: batch * elementCount(shape) }, () => random.normal());
  const labels = Int32Array.from({ length: batch }, (_, i) => i % 10);
  const feeds = { [inputs.images]: images, [inputs.labels]: labels, [inputs.learningRate]: Float32Array.of(1e-3), [inputs.momentScale as string]: Float32Array.of(1) };
  await session.warmup();
  return {
    name: `cadnn ${session.target}${zeros > 0 ? `, ${100 * zeros} % zeros` : ""}`,
    async round() {
      const times: number[] = [];
      for (let i = 0; i < stepsPerRound; i++) {
        const start = performance.now();
        await session.run(feeds);
        times.push(performance.now() - start);
      }
      return times;
    },
    end: () => session.dispose(),
  };
}

async function pytorch({ net, batch, threads, python }: Options): Promise<Trainer | undefined> {
  const script = new URL("training-step.py", import.meta.url).pathname;
  const child = spawn("/usr/bin/env", [python, script, net, String(batch), String(threads), String(stepsPerRound)], { stdio: ["pipe", "pipe", "ignore"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const first = await lines.next();
  if (first.done === true) return undefined;
  return {
    name: `PyTorch ${JSON.parse(first.value) as string}`,
    async round() {
      child.stdin.write("\n");
      return JSON.parse((await lines.next()).value as string) as number[];
    },
    async end() {
      child.stdin.end();
      if (child.exitCode === null) await once(child, "exit");
    },
  };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      net: { type: "string", default: "lenet5" },
      zeros: { type: "string", default: "0" },
      python: { type: "string", default: "python3" },
      batch: { type: "string", default: "64" },
      threads: { type: "string", default: "1" },
      rounds: { type: "string", default: "10" },
      json: { type: "boolean", default: false },
    },
  });
  const [batch, threads, rounds] = [Number(values.batch), Number(values.threads), Number(values.rounds)];
  if (values.net === "lenet5-348x") {
    const seconds = (await epochSeconds(batch, threads, rounds)).sort((a, b) => a - b);
    const row = { name: "cadnn, LeNet-5 of 1,237 weights", minSeconds: Number(seconds[0]?.toFixed(3)), medianSeconds: Number(seconds[seconds.length >> 1]?.toFixed(3)) };
    if (values.json) process.stdout.write(`${JSON.stringify({ batch, threads, rows: [row] })}\n`);
    else console.table([row]);
    return;
  }
  const options = { net: values.net, zeros: Number(values.zeros), batch, threads, python: values.python };
  const trainers = [await ours(options), await pytorch(options)].filter((t) => t !== undefined);
  for (const trainer of trainers) await trainer.round();
  const times = trainers.map((): number[] => []);
  for (let r = 0; r < rounds; r++) for (const [i, trainer] of trainers.entries()) times[i]?.push(...(await trainer.round()));
  for (const trainer of trainers) await trainer.end();
  const rows = trainers.map(({ name }, i) => {
    const sorted = (times[i] as number[]).sort((a, b) => a - b);
    return { name, minMs: Number(sorted[0]?.toFixed(2)), medianMs: Number(sorted[sorted.length >> 1]?.toFixed(2)) };
  });
  if (values.json) process.stdout.write(`${JSON.stringify({ batch, threads, rows })}\n`);
  else {
    console.table(rows);
    if (rows.length < 2) process.stderr.write("PyTorch was not found: python3 cannot import torch.\n");
  }
}

await main();
