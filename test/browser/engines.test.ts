import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { browsers, missing } from "../../bench/browsers/browsers.ts";
import type { Job, Outcome } from "../../bench/browsers/page.ts";
import { startVisits, type Visits } from "../../bench/browsers/visit.ts";
import { compile } from "../../src/compile/index.ts";
import { createSession } from "../../src/runtime/index.ts";
import { type ZooName, zoo, zooGraph } from "../../src/zoo/index.ts";
import { createRandom } from "../../src/zoo/random.ts";

let visits: Visits<Job, Outcome>;
beforeAll(async () => {
  visits = await startVisits(new URL("../../bench/browsers/page.ts", import.meta.url));
});
afterAll(() => visits.close());

const nets: readonly (readonly [ZooName, number])[] = [
  ["lenet5", 0],
  ["mobilenet_v2", 0.85],
];

/** The net, an input, and what the first output is in Node. */
async function provide([name, sparsity]: (typeof nets)[number]): Promise<Float32Array> {
  const artifact = await compile(zooGraph(name, { sparsity, seed: 1 }));
  const random = createRandom(1, "pixels");
  const shape = zoo[name].inputShape;
  const input = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => random.normal());
  visits.provide("net.cadnn", artifact);
  visits.provide("input.bin", new Uint8Array(input.buffer));
  const session = await createSession(artifact, { threads: 1 });
  const { logits } = await session.run({ input });
  await session.dispose();
  return logits?.data as Float32Array;
}

for (const browser of browsers.filter((b) => b.name !== "chromium")) {
  const why = missing(browser);
  if (why !== undefined) console.log(`${browser.name} is skipped: ${why}`);
  describe.skipIf(why !== undefined)(browser.name, () => {
    test.each(nets)("%s, %d of its weights zero: as in Node, with 1 thread and with 2", async (...net) => {
      const expected = await provide(net);
      for (const threads of [1, 2]) {
        const outcome = await visits.perform(browser, { artifact: "/net.cadnn", input: "/input.bin", threads, runs: 0 });
        expect(outcome.threads).toBe(threads);
        const scale = expected.reduce((a, b) => Math.max(a, Math.abs(b)));
        expected.forEach((y, i) => {
          expect(Math.abs(y - (outcome.output[i] as number)) / scale).toBeLessThan(1e-5);
        });
      }
    });
  });
}
