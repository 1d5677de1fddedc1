import { type Call, sessionServer } from "../runtime/helpers/session-server.ts";

const scope = globalThis as unknown as { onmessage: (event: MessageEvent<Call>) => void; postMessage(message: unknown): void };
const serve = sessionServer((answer) => scope.postMessage(answer));
scope.onmessage = (event) => serve(event.data);
