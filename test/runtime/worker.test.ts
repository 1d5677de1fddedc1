import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { build } from "esbuild";
import { afterAll } from "vitest";
import { sessionClient } from "./helpers/session-server.ts";
import { sessionSuite } from "./helpers/session-suite.ts";

const folder = mkdtempSync(join(tmpdir(), "cadnn-worker-"));
const outfile = join(folder, "worker.mjs");
const contents = `
  import { parentPort } from "node:worker_threads";
  import { sessionServer } from "./helpers/session-server.ts";
  parentPort.on("message", sessionServer((answer) => parentPort.postMessage(answer)));`;
await build({ stdin: { contents, resolveDir: fileURLToPath(new URL(".", import.meta.url)), loader: "ts" }, bundle: true, format: "esm", platform: "node", outfile });
const worker = new Worker(outfile, { execArgv: [] });
const client = sessionClient((call) => worker.postMessage(call));
worker.on("message", client.receive);
afterAll(async () => {
  await worker.terminate();
  rmSync(folder, { recursive: true });
});

sessionSuite("Node worker", true, client.create);
