import { type ArgDef, type ArgsDef, parseArgs } from "citty";
import { CadnnError } from "../errors.ts";

/** A command's arguments, read with checks; errors name the option as the user wrote it. */
export interface Options {
  flag(name: string): boolean;
  text(name: string): string | undefined;
  /** Throws if it is left out. */
  required(name: string): string;
  /** All values of an option that may be repeated. */
  all(name: string): readonly string[];
  number(name: string, limits?: NumberLimits): number | undefined;
}

export interface NumberLimits {
  readonly integer?: boolean;
  readonly min?: number;
  readonly max?: number;
  /** The greatest value is not allowed itself. */
  readonly below?: number;
}

/** Throws `E_INVALID_OPTION` for unknown options, options without their value and arguments that are too many or missing. */
export function parseOptions(rawArgs: readonly string[], args: ArgsDef): Options {
  const parsed = parse(rawArgs, args) as unknown as Record<string, unknown> & { readonly _: readonly string[] };
  const known = new Set(["_", ...Object.entries(args).flatMap(([name, arg]) => [name, camelCase(name), ...aliasesOf(arg)])]);
  for (const key of Object.keys(parsed))
    if (!known.has(key))
      throw usage(`there is no option ${optionName(key)}`, optionName(key), suggestion(key, Object.keys(args)) ?? "Run the command with --help to see its options.");
  const positionals = Object.values(args).filter((arg) => arg.type === "positional").length;
  if (parsed._.length > positionals)
    throw usage(`the argument "${parsed._[positionals]}" is one too many`, parsed._[positionals] as string, "Quote arguments that contain spaces.");
  for (const [name, arg] of Object.entries(args))
    if (arg.type === "string" && parsed[name] === "") throw usage(`--${name} needs a value`, `--${name}`, `For instance --${name}=${arg.valueHint ?? "VALUE"}.`);
  const text = (name: string) => parsed[name] as string | undefined;
  const label = (name: string) => (args[name]?.type === "positional" ? name.toUpperCase() : `--${name}`);
  return {
    flag: (name) => parsed[name] === true,
    text,
    required: (name) => {
      const value = text(name);
      if (value === undefined) throw usage(`${label(name)} is missing`, label(name), args[name]?.description ?? "Run the command with --help.");
      return value;
    },
    all: (name) => valuesOf(rawArgs, [`--${name}`, ...aliasesOf(args[name]).map((a) => `-${a}`)]),
    number: (name, limits = {}) => {
      const value = text(name);
      return value === undefined ? undefined : parseNumber(value, label(name), limits);
    },
  };
}

function parse(rawArgs: readonly string[], args: ArgsDef): unknown {
  try {
    return parseArgs([...rawArgs], args);
  } catch (error) {
    if (!(error instanceof Error) || error.name !== "CLIError") throw error;
    const name = /argument: (\S+)/.exec(error.message)?.[1];
    throw usage(name === undefined ? error.message : `${name} is missing`, name ?? "arguments", "Run the command with --help to see what it takes.");
  }
}

const aliasesOf = (arg: ArgDef | undefined): string[] => (arg === undefined || !("alias" in arg) || arg.alias === undefined ? [] : [arg.alias].flat());
const camelCase = (name: string) => name.replace(/-(\w)/g, (_, c: string) => c.toUpperCase());
const optionName = (key: string) => (key.length === 1 ? `-${key}` : `--${key}`);

function valuesOf(rawArgs: readonly string[], names: readonly string[]): string[] {
  const values: string[] = [];
  rawArgs.forEach((arg, i) => {
    const [name = "", ...rest] = arg.split("=");
    if (!names.includes(name)) return;
    const value = rest.length > 0 ? rest.join("=") : rawArgs[i + 1];
    if (value !== undefined) values.push(value);
  });
  return values;
}

export function parseNumber(text: string, label: string, { integer = false, min, max, below }: NumberLimits = {}): number {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  const bounds = [min === undefined ? "" : ` from ${min}`, max === undefined ? "" : ` to ${max}`, below === undefined ? "" : ` to below ${below}`].join("");
  if (!Number.isFinite(value) || (integer && !Number.isSafeInteger(value)) || value < (min ?? value) || value > (max ?? value) || value >= (below ?? Number.POSITIVE_INFINITY))
    throw usage(`${label} is "${text}"`, label, `Give a ${integer ? "whole " : ""}number${bounds}.`);
  return value;
}

/** Names separated by commas, or given by repeating the option. */
export const parseList = (values: readonly string[]): string[] =>
  values
    .flatMap((v) => v.split(","))
    .map((v) => v.trim())
    .filter((v) => v !== "");

/** Reads `name=1x3x224x224` entries, several ones separated by commas or given by repeating the option. */
export function parseInputShapes(values: readonly string[]): Record<string, readonly number[]> | undefined {
  const entries = values
    .flatMap((v) => v.split(","))
    .map((entry): [string, number[]] => {
      const match = /^(.+)=(\d+(?:x\d+)*)$/.exec(entry.trim());
      if (match === null) throw usage(`"${entry}" is no input shape`, "--input-shape", "Write it as name=1x3x224x224.");
      return [match[1] as string, (match[2] as string).split("x").map(Number)];
    });
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

/** Parses a JSON object; throws `E_INVALID_FILE` that names the file. */
export function parseJson(text: string, file: string): object {
  const invalid = (why: string, cause?: unknown) => new CadnnError("E_INVALID_FILE", `this is no JSON object: ${why}`, { at: file, hint: "Check it with a JSON editor.", cause });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalid(cause instanceof Error ? cause.message : String(cause), cause);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid("it holds another kind of value");
  return value;
}

export function usage(message: string, at: string, hint: string): CadnnError {
  return new CadnnError("E_INVALID_OPTION", message, { at, hint });
}

/** "Did you mean" for a misspelt name: the nearest by edit distance, at most 2 away. */
export function suggestion(name: string, known: readonly string[]): string | undefined {
  const best = known.map((k) => [editDistance(name, k), k] as const).sort((a, b) => a[0] - b[0])[0];
  return best !== undefined && best[0] <= 2 ? `Did you mean ${best[1]}?` : undefined;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) next.push(Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[b.length] as number;
}
