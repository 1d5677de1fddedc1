import { createSession } from "../../src/runtime/index.ts";
import { answer } from "../browsers/answer.ts";
import { type RaceOptions, race } from "./race.ts";

/** A race in a browser. Addresses of artifacts and of the input, raw float32. */
export interface Job {
  readonly variants: readonly { readonly name: string; readonly artifact: string }[];
  readonly input: string;
  readonly options: RaceOptions;
}

export type Outcome = readonly { readonly name: string; readonly times: readonly number[]; readonly output: readonly number[] }[];

const fetchBytes = async (address: string): Promise<ArrayBuffer> => (await fetch(address)).arrayBuffer();

async function perform({ variants, input, options }: Job): Promise<Outcome> {
  const feed = new Float32Array(await fetchBytes(input));
  const lazy = variants.map(({ name, artifact }) => ({ name, artifact: async () => new Uint8Array(await fetchBytes(artifact)) }));
  const laps = await race(createSession, lazy, feed, options);
  return laps.map(({ name, times, output }) => ({ name, times, output: Array.from(output) }));
}

// In a worker, which may block, a session's first thread is the caller.
if (typeof document !== "undefined") new Worker("/page.js", { type: "module" });
else await answer(perform);
