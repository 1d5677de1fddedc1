/**
 * Runs in arm64 Node: `CONTENDER MODEL INPUT SHAPE LAYOUT RUNS PAUSE RESULT`. Each inference is an interval, numbered from 1, and followed by a pause of so many
 * milliseconds, in which the engine's threads finish compiling what has become hot.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { markInterval } from "../../src/node/arm64/mark.ts";
import type { MakeContender } from "../peers/contender.ts";
import { makeOnnxruntimeWeb } from "../peers/contenders/onnxruntime-web.ts";
import { makeLitert } from "./contenders/litert.ts";
import { makeTfjs } from "./contenders/tfjs.ts";

const makers: Readonly<Record<string, readonly [MakeContender, library: string]>> = {
  "onnxruntime-web": [makeOnnxruntimeWeb, "onnxruntime-web"],
  tfjs: [makeTfjs, "@tensorflow/tfjs-converter"],
  litert: [makeLitert, "@litertjs/core"],
};

/** [1, C, H, W] → [1, H, W, C] */
function channelsLast(data: Float32Array, [, c = 1, h = 1, w = 1]: readonly number[]): Float32Array {
  return Float32Array.from(data, (_, i) => data[(i % c) * h * w + Math.floor(i / c)] as number);
}

const [name = "", model = "", inputPath = "", shapeText = "", layout = "", runs = "1", pause = "0", result = ""] = process.argv.slice(2);
const [make, library] = makers[name] as (typeof makers)[string];
const nchw = shapeText.split(",").map(Number);
const values = new Float32Array(Uint8Array.from(readFileSync(inputPath)).buffer);
const [n = 1, c = 1, h = 1, w = 1] = nchw;
const input = layout === "nhwc" ? { shape: [n, h, w, c], data: channelsLast(values, nchw) } : { shape: nchw, data: values };
const contender = make({ threads: 1, library });
await contender.load({ url: pathToFileURL(model).href, bytes: Uint8Array.from(readFileSync(model)) });
markInterval(0);
for (let i = 1; i <= Number(runs); i++) {
  const output = await contender.run(input);
  markInterval(i);
  if (i === Number(runs)) writeFileSync(result, new Uint8Array(output.buffer, output.byteOffset, output.byteLength));
  else await new Promise((resolve) => setTimeout(resolve, Number(pause)));
}
process.exit(0);
