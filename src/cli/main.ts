#!/usr/bin/env node
import { run } from "./run-cli.ts";

process.exitCode = await run(process.argv.slice(2));
