import { CadnnError } from "../../errors.ts";
import { hasPrefix, type Immediate, type Instruction, instruction } from "./instructions.ts";

/**
 * A module as text, one statement a line, blocks indented: `$3 = i32.add($0, 16)`, `$7 = f32x4.relaxed_madd($5, v128.load($2 +32), $7)`,
 * `if`, `loop`, `br_if 0 …` (0 is the innermost block; that of a loop is its start). `$n` are locals, parameters first; `+32` is a static
 * offset. Takes the modules that `ModuleBuilder` makes; throws E_CORRUPT where it meets anything else.
 */
export function disassemble(module: Uint8Array): string {
  const reader = new Reader(module);
  if (reader.word() !== 0x6d736100 || reader.word() !== 1) throw corrupt(0, "it does not begin as a WebAssembly module of version 1");
  const types: { readonly params: readonly string[]; readonly results: readonly string[] }[] = [];
  const functions: number[] = [];
  const names = new Map<number, string>();
  const lines: string[] = [];
  while (!reader.done) {
    const id = reader.byte();
    const end = reader.unsigned() + reader.at;
    if (id === 1)
      reader.list(() => {
        reader.byte();
        types.push({ params: reader.list(() => typeName(reader)), results: reader.list(() => typeName(reader)) });
      });
    else if (id === 2) reader.list(() => lines.push(importLine(reader)));
    else if (id === 3) functions.push(...reader.list(() => reader.unsigned()));
    else if (id === 7)
      reader.list(() => {
        const name = reader.text();
        reader.byte();
        names.set(reader.unsigned(), name);
      });
    else if (id === 10) {
      let index = 0;
      reader.list(() => {
        const { params, results } = types[functions[index] as number] ?? { params: [], results: [] };
        const name = names.get(index);
        const size = reader.unsigned();
        const stop = reader.at + size;
        const locals = reader.list(() => `${reader.unsigned()} ${typeName(reader)}`);
        lines.push(
          "",
          `func ${index}${name === undefined ? "" : ` "${name}"`} (${params.join(", ")})${results.length > 0 ? ` -> ${results.join(", ")}` : ""}${locals.length > 0 ? ` locals ${locals.join(", ")}` : ""}`,
        );
        lines.push(
          ...bodyLines(reader, stop, (f) => {
            const type = types[functions[f] as number];
            return { takes: type?.params.length ?? 0, gives: (type?.results.length ?? 0) > 0 };
          }),
        );
        index++;
      });
    } else reader.skipTo(end);
    if (reader.at !== end) throw corrupt(reader.at, `section ${id} has another length than it says`);
  }
  return `${lines.join("\n")}\n`;
}

const typeNames: Readonly<Record<number, string>> = { 127: "i32", 126: "i64", 125: "f32", 124: "f64", 123: "v128" };

function typeName(reader: Reader): string {
  const name = typeNames[reader.byte()];
  if (name === undefined) throw corrupt(reader.at - 1, "no such value type");
  return name;
}

function importLine(reader: Reader): string {
  const name = `${reader.text()}.${reader.text()}`;
  if (reader.byte() !== 2) throw corrupt(reader.at - 1, "only memories are imported");
  const flags = reader.byte();
  const first = reader.unsigned();
  const most = (flags & 1) === 1 ? reader.unsigned() : undefined;
  return `memory "${name}" ${first}${most === undefined || most === first ? "" : `…${most}`} pages${(flags & 2) === 2 ? ", shared" : ""}`;
}

/** Statements of one function body up to its last `end`. Values on the stack become the operands of what takes them. */
function bodyLines(reader: Reader, stop: number, signature: (index: number) => { readonly takes: number; readonly gives: boolean }): string[] {
  const lines: string[] = [];
  const stack: string[] = [];
  let depth = 1;
  const line = (text: string, at = depth) => lines.push("  ".repeat(at) + text);
  while (reader.at < stop) {
    const start = reader.at;
    const op = readInstruction(reader);
    if (op === undefined) throw corrupt(start, "no such instruction");
    const immediate = readImmediate(reader, op.immediate);
    const { takes, gives } = op.name === "call" ? signature(Number(immediate)) : op;
    if (takes > stack.length) throw corrupt(start, `${op.name} takes ${takes} values, ${stack.length} are there`);
    const operands = stack.splice(stack.length - takes);
    if (gives) {
      stack.push(value(op, immediate, operands));
      continue;
    }
    for (const left of stack.splice(0)) line(`push ${left}`);
    if (op.name === "end") depth--;
    else if (op.name === "else") line("else", depth - 1);
    else if (op.immediate === "block") line([op.name, ...operands].join(" "), depth++);
    else line(statement(op, immediate, operands));
  }
  if (depth !== 0) throw corrupt(stop, "blocks and ends do not match");
  return lines;
}

function readInstruction(reader: Reader): Instruction | undefined {
  const first = reader.byte();
  return hasPrefix(first) ? instruction(reader.unsigned(), first) : instruction(first);
}

/** Text of what follows the opcode. */
function readImmediate(reader: Reader, kind: Immediate): string {
  switch (kind) {
    case "none":
      return "";
    case "block":
      if (reader.byte() !== 0x40) throw corrupt(reader.at - 1, "a block with a value");
      return "";
    case "label":
    case "function":
    case "local":
      return String(reader.unsigned());
    case "table":
      return [...reader.list(() => reader.unsigned()), reader.unsigned()].join(" ");
    case "i32":
      return String(reader.signed());
    case "i64":
      return `${reader.signed()} as i64`;
    case "f32":
      return floatText(reader.float());
    case "v128":
      return vectorText(reader.bytes(16));
    case "lanes":
      return shuffleText(reader.bytes(16));
    case "lane":
      return String(reader.byte());
    case "memory":
    case "memory lane": {
      reader.unsigned(); // a hint about alignment
      const offset = reader.unsigned();
      const lane = kind === "memory lane" ? ` lane ${reader.byte()}` : "";
      return `${offset === 0 ? "" : ` +${offset}`}${lane}`;
    }
    case "zero":
    case "two zeros":
      reader.bytes(kind === "zero" ? 1 : 2);
      return "";
  }
}

/** A value with its operands; constants and locals stand for themselves. */
function value({ name, immediate: kind }: Instruction, immediate: string, operands: readonly string[]): string {
  if (name === "local.get") return `$${immediate}`;
  if (name === "local.tee") return `($${immediate} = ${operands[0]})`;
  if (kind === "i32" || kind === "i64" || kind === "f32" || kind === "v128") return immediate;
  if (kind === "memory") return `${name}(${[`${operands[0]}${immediate}`, ...operands.slice(1)].join(", ")})`;
  if (kind === "lanes") return `${immediate}(${operands.join(", ")})`;
  return `${name}${immediate === "" ? "" : ` ${immediate}`}(${operands.join(", ")})`;
}

function statement({ name, immediate: kind }: Instruction, immediate: string, operands: readonly string[]): string {
  if (name === "local.set") return `$${immediate} = ${operands[0]}`;
  if (kind === "memory" || kind === "memory lane") return `${name}(${operands[0]}${immediate}, ${operands[1]})`;
  if (kind === "label" || kind === "table") return [name, immediate, ...operands].join(" ");
  return `${name}${immediate === "" ? "" : ` ${immediate}`}${operands.length > 0 || name === "call" ? `(${operands.join(", ")})` : ""}`;
}

/** The shortest decimal that is this float32. */
function floatText(x: number): string {
  if (Number.isInteger(x) && Math.abs(x) < 1e9) return Object.is(x, -0) ? "-0.0" : `${x}.0`;
  const digits = [6, 7, 8, 9].find((n) => Object.is(Math.fround(Number(x.toPrecision(n))), x));
  return String(digits === undefined ? x : Number(x.toPrecision(digits)));
}

/** Four equal lanes as one; words that are no ordinary float32 in hexadecimal, as they are masks or integers. */
function vectorText(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16);
  const lanes = [0, 4, 8, 12].map((at) => {
    const x = view.getFloat32(at, true);
    const ordinary = x === 0 || (Math.abs(x) >= 2 ** -126 && !Number.isNaN(x));
    return ordinary ? floatText(x) : `0x${view.getUint32(at, true).toString(16)}`;
  });
  return lanes.every((l) => l === lanes[0]) ? `<${lanes[0]}>` : `<${lanes.join(" ")}>`;
}

/** Lanes of 4 bytes where they move as a whole. */
function shuffleText(bytes: Uint8Array): string {
  const words = [0, 4, 8, 12].map((at) => (bytes[at] as number) / 4);
  const whole = words.every((w, i) => Number.isInteger(w) && [1, 2, 3].every((b) => bytes[4 * i + b] === 4 * w + b));
  return whole ? `i32x4.shuffle ${words.join(" ")}` : `i8x16.shuffle ${[...bytes].join(" ")}`;
}

/** Walks the bytes of a module. */
class Reader {
  at = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.at >= this.#bytes.length;
  }

  byte(): number {
    const b = this.#bytes[this.at++];
    if (b === undefined) throw corrupt(this.at - 1, "it ends too early");
    return b;
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.byte());
  }

  /** 32 bits, little-endian. */
  word(): number {
    return new DataView(this.bytes(4).buffer).getUint32(0, true);
  }

  float(): number {
    return new DataView(this.bytes(4).buffer).getFloat32(0, true);
  }

  unsigned(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const b = this.byte();
      value += (b & 127) * scale;
      if (b < 128) return value;
    }
  }

  signed(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const b = this.byte();
      if (b < 128) return value + (b < 64 ? b : b - 128) * scale;
      value += (b & 127) * scale;
    }
  }

  text(): string {
    return new TextDecoder().decode(this.bytes(this.unsigned()));
  }

  list<T>(item: () => T): T[] {
    return Array.from({ length: this.unsigned() }, item);
  }

  skipTo(end: number): void {
    this.at = end;
  }
}

const corrupt = (at: number, what: string): CadnnError =>
  new CadnnError("E_CORRUPT", `the module cannot be read at byte ${at}: ${what}`, {
    at: `byte ${at}`,
    hint: "Only modules that cadnn generated can be shown; compile the net again.",
  });
