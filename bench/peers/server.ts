import { createReadStream, statSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const types: Readonly<Record<string, string>> = {
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
  ".json": "application/json",
  ".html": "text/html",
};

/** So that pages share memory between threads. */
const headers = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cache-Control": "max-age=3600",
};

const here = fileURLToPath(new URL(".", import.meta.url));
const root = join(here, "../..");

const bundles: Readonly<Record<string, { readonly source: string; readonly format: "esm" | "iife" }>> = {
  "page.js": { source: `import "./page.ts";`, format: "iife" },
  "worker.js": { source: `import "./worker.ts";`, format: "iife" },
  "cadnn.js": { source: `export * from "../../dist/runtime/index.js";`, format: "esm" },
  "litert.js": { source: `export * from "@litertjs/core";`, format: "esm" },
  "tfjs.js": { source: `export * from "@tensorflow/tfjs"; export { getThreadsCount, setThreadsCount, setWasmPaths } from "@tensorflow/tfjs-backend-wasm";`, format: "esm" },
};

async function bundle(name: string): Promise<Uint8Array | undefined> {
  const what = bundles[name];
  if (what === undefined) return undefined;
  const options = { bundle: true, minify: true, write: false, target: "es2023", platform: "browser", logLevel: "silent" } as const;
  const result = await build({ ...options, stdin: { contents: what.source, resolveDir: here, loader: "ts" }, format: what.format });
  return result.outputFiles[0]?.contents;
}

export interface FileServer {
  readonly origin: string;
  /** The address of a file on disk, which becomes readable for pages. */
  share(path: string): string;
  close(): void;
}

/** Serves bundles, packages (/modules) and shared files on 127.0.0.1, to cross-origin isolated pages. */
export async function startServer(): Promise<FileServer> {
  const made = new Map<string, Promise<Uint8Array | undefined>>();
  const shared = new Set<string>();
  const server: Server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname));
    const send = (status: number, body: string | Uint8Array, type: string): void => void response.writeHead(status, { ...headers, "Content-Type": type }).end(body);
    const sendFile = (file: string): void => {
      const size = statSync(file, { throwIfNoEntry: false })?.size;
      if (size === undefined) return send(404, "", "text/plain");
      response.writeHead(200, { ...headers, "Content-Type": types[extname(file)] ?? "application/octet-stream", "Content-Length": size });
      createReadStream(file).pipe(response);
    };
    if (path === "/") return send(200, '<!doctype html><title>bench</title><body><script src="/bundles/page.js"></script></body>', "text/html");
    if (path.startsWith("/bundles/")) {
      const name = path.slice("/bundles/".length);
      const code = made.get(name) ?? bundle(name);
      made.set(name, code);
      code.then((c) => (c === undefined ? send(404, "", "text/plain") : send(200, c, "text/javascript"))).catch((error) => send(500, String(error), "text/plain"));
      return;
    }
    if (path.startsWith("/modules/")) return sendFile(join(root, "node_modules", path.slice("/modules/".length)));
    const file = path.startsWith("/files/") ? path.slice("/files".length) : "";
    // Beside each shared file lie others that belong to it, such as a graph model's weights.
    if ([...shared].some((s) => file.startsWith(s.slice(0, s.lastIndexOf("/") + 1)))) return sendFile(file);
    send(404, "", "text/plain");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    origin,
    share(path) {
      shared.add(path);
      return `${origin}/files${path}`;
    },
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
