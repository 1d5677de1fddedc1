import { type ChildProcess, fork, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { type BrowserServer, chromium } from "playwright-core";
import type { Answer, AnswerOf, Request } from "./protocol.ts";

/** A contender's processes, which stand still (SIGSTOP) unless it is its turn: threads that spin or compile in the background cost others nothing. */
export interface Stage {
  /** What the host is, with version. */
  readonly engine: string;
  ask<R extends Request>(request: R): Promise<AnswerOf<R["kind"]>>;
  end(): void;
}

/** How one kind of host starts, takes a request and ends. `group`: the id of its process group. */
interface Actor {
  readonly group: number;
  readonly engine: string;
  ask(request: Request): Promise<Answer>;
}

const live = new Set<number>();
const signal = (group: number, name: NodeJS.Signals): boolean => {
  try {
    return process.kill(-group, name);
  } catch {
    return false; // ended already
  }
};
process.on("exit", () => {
  for (const group of live) signal(group, "SIGKILL");
});

function stageOf(name: string, { group, engine, ask }: Actor): Stage {
  live.add(group);
  signal(group, "SIGSTOP");
  return {
    engine,
    async ask<R extends Request>(request: R) {
      signal(group, "SIGCONT");
      const answer = await inTime(name, ask(request));
      signal(group, "SIGSTOP");
      if (answer.kind === "failed") throw new Error(`${name}: ${answer.message}`);
      return answer as AnswerOf<R["kind"]>;
    },
    end() {
      live.delete(group);
      signal(group, "SIGKILL");
    },
  };
}

const longestMs = 120_000;

/** Whoever hangs is given up. */
async function inTime(name: string, answer: Promise<Answer>): Promise<Answer> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${name}: no answer in ${longestMs / 1000} s`)), longestMs);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Rejects when the process ends before it has answered. */
function untilExit<T>(child: ChildProcess, answer: (resolve: (value: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    const exited = (code: number | null): void => reject(new Error(`it ended with code ${code}`));
    child.once("exit", exited);
    answer((value) => {
      child.off("exit", exited);
      resolve(value);
    });
  });
}

export function openNodeStage(name: string, flags: readonly string[] = []): Stage {
  const options = { serialization: "advanced", stdio: ["ignore", "ignore", "inherit", "ipc"], detached: true, execArgv: [...process.execArgv, ...flags] } as const;
  const child = fork(fileURLToPath(new URL("./child.ts", import.meta.url)), [], { ...options, stdio: [...options.stdio], execArgv: [...options.execArgv] });
  return stageOf(name, {
    group: child.pid as number,
    engine: `Node ${process.versions.node}`,
    ask: (request) =>
      untilExit(child, (resolve) => {
        child.once("message", resolve);
        child.send(request);
      }),
  });
}

/** Requests and answers are lines of JSON. */
export function openPythonStage(name: string, python: string): Stage {
  const child = spawn(python, [fileURLToPath(new URL("./contenders/tflite.py", import.meta.url))], { stdio: ["pipe", "pipe", "ignore"], detached: true });
  const lines = createInterface({ input: child.stdout });
  return stageOf(name, {
    group: child.pid as number,
    engine: "Python",
    ask: (request) =>
      untilExit<Answer>(child, (resolve) => {
        lines.once("line", (line) => resolve(JSON.parse(line) as Answer));
        child.stdin.write(`${JSON.stringify(request)}\n`);
      }),
  });
}

/** What page.ts leaves for us. */
interface PageGlobals {
  ask(request: Request): Promise<Answer>;
}

const chromiumArguments = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"];

/** A browser of its own with one page, in which the contender runs in a dedicated worker. */
export async function openChromiumStage(name: string, origin: string): Promise<Stage> {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  const ours = { handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false };
  const server: BrowserServer = await chromium.launchServer({ executablePath, headless: true, args: chromiumArguments, ...ours });
  const browser = await chromium.connect(server.wsEndpoint());
  const page = await browser.newPage();
  page.on("pageerror", (error) => void process.stderr.write(`${name}: ${error.message}\n`));
  await page.goto(origin);
  if (!(await page.evaluate(() => crossOriginIsolated))) throw new Error("the page is not cross-origin isolated");
  return stageOf(name, {
    group: server.process().pid as number,
    engine: `Chromium ${browser.version()}`,
    ask: (request) => page.evaluate((r) => (globalThis as unknown as PageGlobals).ask(r), request),
  });
}
