import type { Answer, Request } from "./protocol.ts";

/** Hands requests on to the worker that the contender runs in, one at a time. */
const worker = new Worker("/bundles/worker.js");

Object.assign(globalThis, {
  ask: (request: Request) =>
    new Promise<Answer>((resolve, reject) => {
      worker.onmessage = ({ data }: MessageEvent<Answer>) => resolve(data);
      worker.onerror = (event) => reject(new Error(event.message || "the worker did not load"));
      worker.postMessage(request);
    }),
});
