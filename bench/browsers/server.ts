import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";

const types: Readonly<Record<string, string>> = { ".html": "text/html", ".js": "text/javascript", ".json": "application/json", ".map": "application/json" };

/** What pages get, and what they send back. */
export interface Server {
  readonly origin: string;
  /** Answers `POST path` from now on; the body is JSON. */
  onPost(path: string, listener: (body: unknown) => void): void;
  /** A file that exists only here. */
  provide(path: string, content: string | Uint8Array): void;
  close(): void;
}

/**
 * Serves `folders` (by their names in the address) and provided files, to this computer alone. All of it is cross-origin isolated unless `isolated` is
 * false, since only then do pages share memory with workers.
 */
export async function startServer(folders: Readonly<Record<string, string>>, isolated = true): Promise<Server> {
  const provided = new Map<string, string | Uint8Array>();
  const listeners = new Map<string, (body: unknown) => void>();
  const headers = isolated ? { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" } : {};
  const fileOf = (path: string): string | undefined => {
    const [, folder = "", ...rest] = normalize(path).split("/");
    const root = folders[folder];
    const file = root === undefined ? undefined : join(root, ...rest);
    return file !== undefined && existsSync(file) && statSync(file).isFile() ? file : undefined;
  };
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://localhost").pathname;
    if (request.method === "POST") {
      const parts: Buffer[] = [];
      request.on("data", (part: Buffer) => parts.push(part));
      request.on("end", () => {
        response.writeHead(204, headers).end();
        listeners.get(path)?.(JSON.parse(Buffer.concat(parts).toString("utf8")));
      });
      return;
    }
    const type = types[extname(path)] ?? "application/octet-stream";
    const content = provided.get(path);
    const file = fileOf(path);
    if (content !== undefined) response.writeHead(200, { ...headers, "Content-Type": type }).end(content);
    else if (file !== undefined) createReadStream(file).pipe(response.writeHead(200, { ...headers, "Content-Type": type, "Content-Length": statSync(file).size }));
    else response.writeHead(404, headers).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    onPost: (path, listener) => void listeners.set(path, listener),
    provide: (path, content) => void provided.set(path, content),
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
