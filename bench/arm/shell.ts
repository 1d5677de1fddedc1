/** What Node and JavaScriptCore's shell have in common, under one name each. Lines come from standard input and go to standard output. */
export interface Shell {
  /** The next line; nothing at the end of the input. */
  readLine(): string | undefined;
  print(line: string): void;
  readFile(path: string): Uint8Array<ArrayBuffer>;
  writeFile(path: string, bytes: Uint8Array): void;
  /** Nothing more will come. */
  finish(): void;
  /** What the script was started with. */
  readonly args: readonly string[];
}

interface JscGlobals {
  readonly readline: () => string | null;
  readonly print: (line: string) => void;
  readonly arguments: readonly string[];
  readonly readFile: (path: string, form: "binary") => Uint8Array<ArrayBuffer>;
  readonly writeFile: (path: string, bytes: Uint8Array) => void;
}

const jsc = globalThis as unknown as Partial<JscGlobals>;

function jscShell({ readline, print, readFile, writeFile, arguments: args }: JscGlobals): Shell {
  return { readLine: () => readline() || undefined, print, readFile: (path) => readFile(path, "binary"), writeFile, args, finish() {} };
}

function nodeShell(): Shell {
  // Node 26 does not wait for a module that is being compiled; without a timer it would end.
  const waiting = setInterval(() => {}, 1000);
  const fs = process.getBuiltinModule("node:fs");
  const byte = new Uint8Array(1);
  return {
    readLine() {
      const line: number[] = [];
      while (fs.readSync(0, byte) === 1 && byte[0] !== 10) line.push(byte[0] as number);
      return line.length > 0 ? String.fromCharCode(...line) : undefined;
    },
    print: (line) => void fs.writeSync(1, `${line}\n`),
    readFile: (path) => new Uint8Array(fs.readFileSync(path)),
    writeFile: fs.writeFileSync,
    args: process.argv.slice(2),
    finish: () => clearInterval(waiting),
  };
}

export const shell: Shell = jsc.readline === undefined ? nodeShell() : jscShell(jsc as JscGlobals);

/** Ends an interval of the instruction counter, which sees the attempt to open a file that does not exist. */
export function markInterval(label: number): void {
  try {
    shell.readFile(`/cadnn-interval/${label}`);
  } catch {
    // Outside of the emulation nothing happens either.
  }
}

/** The runtime decodes UTF-8, which JavaScriptCore's shell has no class for. */
if (typeof TextDecoder === "undefined") {
  class Utf8Decoder {
    decode(bytes: Uint8Array): string {
      const parts: string[] = [];
      for (let i = 0; i < bytes.length; i += 4096) parts.push(String.fromCharCode(...bytes.subarray(i, i + 4096)));
      return decodeURIComponent(escape(parts.join("")));
    }
  }
  Object.assign(globalThis, { TextDecoder: Utf8Decoder });
}
