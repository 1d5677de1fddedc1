/** Runs in the emulated engine, Node or JavaScriptCore: `ARTIFACT TARGET INPUT SHAPE RUNS RESULT`. Each inference is an interval, numbered from 1. */
import { createSession, type ResultTensor, type TargetName } from "../../src/runtime/index.ts";
import { markInterval, shell } from "./shell.ts";

const [artifact = "", target = "", input = "", shape = "", runs = "1", result = ""] = shell.args;
const session = await createSession(shell.readFile(artifact), { threads: 1, target: target as TargetName });
const feed = { shape: shape.split(",").map(Number), data: new Float32Array(shell.readFile(input).buffer) };
const [from = "", to = ""] = [session.inputs[0]?.name, session.outputs[0]?.name];
markInterval(0);
for (let i = 1; i <= Number(runs); i++) {
  const results = await session.run({ [from]: feed });
  markInterval(i);
  const { buffer, byteOffset, byteLength } = (results[to] as ResultTensor).data as Float32Array;
  if (i === Number(runs)) shell.writeFile(result, new Uint8Array(buffer, byteOffset, byteLength));
}
await session.dispose();
shell.finish();
