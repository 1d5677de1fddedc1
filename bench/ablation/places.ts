import type { TargetName } from "../../src/artifact/manifest.ts";
import { createSession } from "../../src/node/index.ts";
import { detectFeatures, targetsFor } from "../../src/runtime/features.ts";
import { browsers, missing } from "../browsers/browsers.ts";
import { startVisits } from "../browsers/visit.ts";
import { thisHost } from "../host.ts";
import type { Job, Outcome } from "./page.ts";
import { type Lap, type RaceOptions, race } from "./race.ts";

/** Where nets run. */
export interface Place {
  readonly engine: string;
  readonly targets: readonly TargetName[];
  race(variants: readonly { readonly name: string; readonly artifact: Uint8Array }[], input: Float32Array, options: Omit<RaceOptions, "warmupMs">): Promise<readonly Lap[]>;
}

/** This process, which compiles nothing but optimized code. */
export function herePlace(): Place {
  return {
    engine: thisHost().engine,
    targets: targetsFor(detectFeatures()).slice(0, 1),
    race(variants, input, options) {
      const given = variants.map(({ name, artifact }) => ({ name, artifact: async () => artifact }));
      return race(createSession, given, input, { ...options, warmupMs: 0 });
    },
  };
}

/** A worker of a page. Throws if the browser is not there. */
export function browserPlace(name: string): Place {
  const browser = browsers.find((b) => b.name === name);
  const why = browser === undefined ? `there is no browser ${name}` : missing(browser);
  if (browser === undefined || why !== undefined) throw new Error(why);
  const arch = process.arch === "arm64" ? "arm64" : "x64";
  return {
    engine: browser.version(),
    targets: [`wasm-${arch}-relaxed`, `wasm-${arch}-plain`],
    async race(variants, input, options) {
      const visits = await startVisits<Job, Outcome>(new URL("./page.ts", import.meta.url));
      try {
        const outcome = await visits.perform(browser, {
          variants: variants.map(({ name, artifact }, i) => ({ name, artifact: visits.provide(`${i}.cadnn`, artifact) })),
          input: visits.provide("input.bin", new Uint8Array(input.buffer)),
          options: { ...options, warmupMs: 500 },
        });
        return outcome.map((lap) => ({ ...lap, output: Float32Array.from(lap.output) }));
      } finally {
        visits.close();
      }
    },
  };
}
