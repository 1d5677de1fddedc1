#!/usr/bin/env node
import { run } from "./run-cli.ts";

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0); // the reader of a pipe has seen enough
  throw error;
});
process.exitCode = await run(process.argv.slice(2));
