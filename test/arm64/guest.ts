/** Runs in the emulated engine: loads modules and does what the tests ask for, until its input ends. */

import { shell } from "../../bench/arm/shell.ts";
import { createSession, type TargetName } from "../../src/runtime/index.ts";
import { type Action, type Instance, instantiate } from "../instance.ts";
import type { Reply, Request } from "./protocol.ts";

let instance: Instance | undefined;

function perform({ actions, data, result }: Extract<Request, { kind: "perform" }>): Reply {
  const bytes = shell.readFile(data);
  const unpacked = actions.map((a): Action => (a.kind === "write" ? { kind: "write", at: a.at, data: bytes.subarray(a.from, a.from + a.bytes) } : a));
  const read = instance?.perform(unpacked) ?? [];
  const all = new Uint8Array(read.reduce((n, { length }) => n + length, 0));
  let at = 0;
  for (const part of read) {
    all.set(part, at);
    at += part.length;
  }
  shell.writeFile(result, all);
  return {};
}

async function run({ artifact, target, feeds, runs, result }: Extract<Request, { kind: "run" }>): Promise<Reply> {
  const session = await createSession(shell.readFile(artifact), { threads: 1, target: target as TargetName | undefined });
  const given = Object.fromEntries(Object.entries(feeds).map(([name, { shape, path }]) => [name, { shape, data: new Float32Array(shell.readFile(path).buffer) }]));
  for (let i = 0; i < runs; i++) {
    const output = (await session.run(given))[session.outputs[0]?.name ?? ""]?.data as Float32Array;
    if (i === runs - 1) shell.writeFile(result, new Uint8Array(output.buffer, output.byteOffset, output.byteLength));
  }
  await session.dispose();
  return { target: session.target };
}

async function answer(request: Request): Promise<Reply> {
  if (request.kind === "perform") return perform(request);
  if (request.kind === "run") return run(request);
  instance = instantiate(shell.readFile(request.module), request.memory, request.pages);
  return {};
}

for (let line = shell.readLine(); line !== undefined; line = shell.readLine())
  shell.print(JSON.stringify(await answer(JSON.parse(line)).catch((error: unknown): Reply => ({ error: String(error) }))));
shell.finish();
