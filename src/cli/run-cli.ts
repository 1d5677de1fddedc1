import { readFileSync } from "node:fs";
import { stripVTControlCharacters } from "node:util";
import { defineCommand, renderUsage } from "citty";
import { type Command, type CommandContext, commonArgs } from "./command.ts";
import { parseOptions, suggestion, usage } from "./options.ts";
import { createProgress } from "./progress.ts";
import { type ExitCode, errorReport, exitCodeOf, formatError } from "./report-error.ts";

/** Modules are loaded when their command is called, so that `--help` and errors come at once. */
const commands: Readonly<Record<string, { readonly description: string; readonly load: () => Promise<{ readonly command: Command }> }>> = {
  demo: { description: "Train, compress, compile and compare LeNet-5 on real digits", load: () => import("./commands/demo.ts") },
  zoo: { description: "Write a well-known net with seeded weights as ONNX", load: () => import("./commands/zoo.ts") },
  inspect: { description: "Show what is in an ONNX or a .cadnn file", load: () => import("./commands/inspect.ts") },
  compress: { description: "Prune and quantize a trained net with ADMM", load: () => import("./commands/compress.ts") },
  tune: { description: "Measure here which tiles and layouts make a net fast", load: () => import("./commands/tune.ts") },
  compile: { description: "Compile an ONNX net into a .cadnn file", load: () => import("./commands/compile.ts") },
  run: { description: "Run a net on an image or on arrays", load: () => import("./commands/run.ts") },
  eval: { description: "Measure a net's accuracy on labelled images", load: () => import("./commands/eval.ts") },
  bench: { description: "Measure a net's latency", load: () => import("./commands/bench.ts") },
};

/** Runs one command line; gives the exit code. Results go to stdout, all else to stderr. */
export async function run(argv: readonly string[]): Promise<ExitCode> {
  const wantsJson = argv.includes("--json");
  try {
    return await dispatch(argv);
  } catch (error) {
    process.stderr.write(`${formatError(error)}\n`);
    if (wantsJson) await print(`${JSON.stringify({ error: errorReport(error) }, undefined, 2)}\n`);
    return exitCodeOf(error);
  }
}

async function dispatch([name, ...rest]: readonly string[]): Promise<ExitCode> {
  if (name === undefined || name === "--help" || name === "-h" || (name === "help" && rest.length === 0)) {
    if (name !== undefined) await print(overview());
    else process.stderr.write(overview());
    return name === undefined ? 2 : 0;
  }
  if (name === "--version" || name === "-v") {
    await print(`${version()}\n`);
    return 0;
  }
  if (name === "help") return dispatch([rest[0] as string, "--help"]);
  if (!Object.hasOwn(commands, name)) {
    const kind = name.startsWith("-") ? "option" : "command";
    throw usage(`there is no ${kind} ${name}`, name, suggestion(name, Object.keys(commands)) ?? `Commands are: ${Object.keys(commands).join(", ")}.`);
  }
  const { command } = await (commands[name] as (typeof commands)[string]).load();
  if (rest.includes("--help") || rest.includes("-h")) {
    await print(await help(command));
    return 0;
  }
  const options = parseOptions(rest, { ...command.args, ...commonArgs });
  const progress = createProgress(process.stderr, { forced: options.flag("progress") });
  try {
    const report = await command.run(options, { progress, ...interruption() });
    progress.end();
    await print(options.flag("json") ? `${JSON.stringify(report.json, undefined, 2)}\n` : `${report.text}\n`);
    return 0;
  } finally {
    progress.end();
  }
}

function interruption(): Pick<CommandContext, "signal" | "interruptible"> {
  const controller = new AbortController();
  return { signal: controller.signal, interruptible: () => process.once("SIGINT", () => controller.abort()) };
}

/** Waits until the text is out, so that a pipe gets all of it before the process ends. */
function print(text: string): Promise<void> {
  return new Promise((resolve) => process.stdout.write(text, () => resolve()));
}

function version(): string {
  return (JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { readonly version: string }).version;
}

function overview(): string {
  const width = Math.max(...Object.keys(commands).map((name) => name.length));
  const lines = Object.entries(commands).map(([name, { description }]) => `  ${name.padEnd(width)}  ${description}`);
  return `cadnn ${version()}: compresses trained nets and compiles each into kernels of its own

Usage: cadnn COMMAND [OPTIONS]

Commands:
${lines.join("\n")}

Each command has --help, and --json, which prints one JSON document on stdout; progress goes to stderr.
Exit codes: 0 done, 1 an error in files or data, 2 an error in the command line, 70 a bug, 130 interrupted.
`;
}

async function help(command: Command): Promise<string> {
  const text = await renderUsage(defineCommand({ meta: { name: `cadnn ${command.name}`, description: command.description }, args: { ...command.args, ...commonArgs } }));
  const examples = command.examples.map((e) => `  ${e}`).join("\n");
  const plain = process.stdout.isTTY === true ? text : stripVTControlCharacters(text);
  return `${plain.trimEnd()}\n\nEXAMPLES\n\n${examples}\n`;
}
