import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname } from "node:path";

const types: Readonly<Record<string, string>> = { ".html": "text/html", ".js": "text/javascript", ".json": "application/json" };

/** So that pages share memory with their workers. */
const isolation = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp", "Cache-Control": "no-store" };

/** What pages on this computer get, and what they send back. */
export interface Server {
  readonly origin: string;
  /** From now on there is this file. */
  provide(path: string, content: string | Uint8Array): void;
  /** From now on, JSON that is posted to `path` goes to `listener`. */
  onPost(path: string, listener: (body: unknown) => void): void;
  close(): void;
}

export async function startServer(): Promise<Server> {
  const files = new Map<string, string | Uint8Array>();
  const listeners = new Map<string, (body: unknown) => void>();
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://localhost").pathname;
    const content = files.get(path);
    if (request.method === "POST") {
      const parts: Buffer[] = [];
      request.on("data", (part: Buffer) => parts.push(part));
      request.on("end", () => {
        response.writeHead(204, isolation).end();
        listeners.get(path)?.(JSON.parse(Buffer.concat(parts).toString("utf8")));
      });
    } else if (content === undefined) response.writeHead(404, isolation).end();
    else response.writeHead(200, { ...isolation, "Content-Type": types[extname(path)] ?? "application/octet-stream" }).end(content);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    provide: (path, content) => void files.set(path, content),
    onPost: (path, listener) => void listeners.set(path, listener),
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
