import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Answer, Request } from "./child.ts";

/** A contender's process, which stands still (SIGSTOP) unless it is its turn: threads that spin or compile in the background cost others nothing. */
export interface Stage {
  ask<K extends Answer["kind"]>(request: Request, kind: K): Promise<Extract<Answer, { kind: K }>>;
  end(): void;
}

const live = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of live) child.kill("SIGKILL");
});

export function openStage(name: string): Stage {
  const child = fork(fileURLToPath(new URL("./child.ts", import.meta.url)), { serialization: "advanced", stdio: ["ignore", "ignore", "inherit", "ipc"] });
  live.add(child);
  child.once("exit", () => live.delete(child));
  let stopped = false;
  const freeze = (): void => {
    stopped = process.platform !== "win32" && child.kill("SIGSTOP");
  };
  return {
    ask(request, kind) {
      return new Promise((resolve, reject) => {
        const exited = (code: number | null): void => reject(new Error(`${name} ended with code ${code}`));
        child.once("exit", exited);
        child.once("message", (answer: Answer) => {
          child.off("exit", exited);
          freeze();
          if (answer.kind === kind) resolve(answer as Extract<Answer, { kind: typeof kind }>);
          else reject(new Error(`${name}: ${answer.kind === "failed" ? answer.message : `answered ${answer.kind}`}`));
        });
        if (stopped) child.kill("SIGCONT");
        stopped = false;
        child.send(request);
      });
    },
    end() {
      child.kill("SIGKILL");
    },
  };
}
