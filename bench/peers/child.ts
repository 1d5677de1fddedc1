import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { nodeMakers } from "./makers.ts";
import type { Request } from "./protocol.ts";
import { makeServer } from "./serve.ts";

const answer = makeServer({ makers: nodeMakers, read: async (url) => Uint8Array.from(await readFile(fileURLToPath(url))) });

process.on("message", (request: Request) => void answer(request).then((reply) => process.send?.(reply)));
process.on("disconnect", () => process.exit(0));
