import { type CadnnError, createSession, type Session } from "../../../src/runtime/index.ts";
import type { SessionLike } from "./session-suite.ts";

/** One call of a session that lives in another thread. `create` makes it; the others name its methods. */
export interface Call {
  readonly id: number;
  readonly session: number;
  readonly method: string;
  readonly args: readonly unknown[];
}

export interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: Partial<CadnnError>;
}

/** The side of the worker: does calls as they come in. */
export function sessionServer(answer: (message: Answer) => void): (call: Call) => void {
  const sessions = new Map<number, Promise<Session>>();
  const perform = async ({ session: key, method, args }: Call): Promise<unknown> => {
    if (method === "create") {
      const created = createSession(...(args as Parameters<typeof createSession>));
      sessions.set(key, created);
      const { name, inputs, backend, target, threads, notes, parameters } = await created;
      return { name, inputs, backend, target, threads, notes, parameters };
    }
    const session = (await sessions.get(key)) as unknown as Record<string, (...args: readonly unknown[]) => unknown>;
    return session[method]?.(...args);
  };
  return (call) => {
    perform(call).then(
      (result) => answer({ id: call.id, result }),
      ({ code, message, at, hint }: CadnnError) => answer({ id: call.id, error: { code, message, at, hint } }),
    );
  };
}

/** The side of the test: a `createSession` whose sessions live where `post` sends to. */
export function sessionClient(post: (call: Call) => void): { create(source: Uint8Array, options: { threads: number }): Promise<SessionLike>; receive(answer: Answer): void } {
  const pending = new Map<number, { resolve(value: unknown): void; reject(error: unknown): void }>();
  let ids = 0;
  let sessions = 0;
  const call = (session: number, method: string, args: readonly unknown[]): Promise<never> =>
    new Promise<never>((resolve, reject) => {
      pending.set(++ids, { resolve: resolve as (value: unknown) => void, reject });
      post({ id: ids, session, method, args });
    });
  return {
    async create(source, options) {
      const key = ++sessions;
      const facts: Pick<SessionLike, "name" | "inputs" | "backend" | "target" | "threads" | "notes" | "parameters"> = await call(key, "create", [source, options]);
      const method =
        (name: string) =>
        (...args: readonly unknown[]): Promise<never> =>
          call(key, name, args);
      const names = ["run", "warmup", "profile", "readParameter", "writeParameter", "dispose"] as const;
      return { ...facts, ...(Object.fromEntries(names.map((name) => [name, method(name)])) as unknown as Pick<SessionLike, (typeof names)[number]>) };
    },
    receive({ id, result, error }) {
      if (error === undefined) pending.get(id)?.resolve(result);
      else pending.get(id)?.reject(Object.assign(new Error(error.message), error));
      pending.delete(id);
    },
  };
}
