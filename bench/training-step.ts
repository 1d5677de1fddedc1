/**
 * One training step of LeNet-5 (forward, backward, Adam) on generated kernels and, where python3 has it, in PyTorch, in turns.
 * `npx tsx bench/training-step.ts [--batch 64] [--threads 1] [--rounds 10] [--json]`
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { compile } from "../src/compile/index.ts";
import { createSession } from "../src/node/index.ts";
import { makeTrainingGraph } from "../src/train/training-graph.ts";
import { zooGraph } from "../src/zoo/index.ts";
import { createRandom } from "../src/zoo/random.ts";

const stepsPerRound = 20;

interface Trainer {
  readonly name: string;
  /** Milliseconds of each step. */
  round(): Promise<number[]>;
  end(): Promise<void>;
}

async function ours(batch: number, threads: number): Promise<Trainer> {
  const { graph, inputs } = makeTrainingGraph(zooGraph("lenet5"), { batch, optimizer: { kind: "adam" } });
  const session = await createSession(await compile(graph), { threads });
  const random = createRandom(1);
  const images = Float32Array.from({ length: batch * 784 }, () => random.normal());
  const labels = Int32Array.from({ length: batch }, (_, i) => i % 10);
  const feeds = { [inputs.images]: images, [inputs.labels]: labels, [inputs.learningRate]: Float32Array.of(1e-3), [inputs.momentScale as string]: Float32Array.of(1) };
  await session.warmup();
  return {
    name: `cadnn ${session.target}`,
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

async function pytorch(batch: number, threads: number): Promise<Trainer | undefined> {
  const script = new URL("training-step.py", import.meta.url).pathname;
  const child = spawn("/usr/bin/env", ["python3", script, String(batch), String(threads), String(stepsPerRound)], { stdio: ["pipe", "pipe", "ignore"] });
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
      batch: { type: "string", default: "64" },
      threads: { type: "string", default: "1" },
      rounds: { type: "string", default: "10" },
      json: { type: "boolean", default: false },
    },
  });
  const [batch, threads, rounds] = [Number(values.batch), Number(values.threads), Number(values.rounds)];
  const trainers = [await ours(batch, threads), await pytorch(batch, threads)].filter((t) => t !== undefined);
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
