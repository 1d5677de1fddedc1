import { afterAll } from "vitest";
import { sessionClient } from "../runtime/helpers/session-server.ts";
import { sessionSuite } from "../runtime/helpers/session-suite.ts";

const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
const client = sessionClient((call) => worker.postMessage(call));
worker.onmessage = (event) => client.receive(event.data);
afterAll(() => worker.terminate());

sessionSuite(`Web Worker, ${crossOriginIsolated ? "isolated" : "not isolated"}`, crossOriginIsolated, client.create);
