import { vi } from "vitest";
import type { ExitCode } from "../../src/cli/report-error.ts";
import { run } from "../../src/cli/run-cli.ts";

export interface Outcome {
  readonly code: ExitCode;
  readonly stdout: string;
  readonly stderr: string;
  /** What stderr holds beside the lines that tell how far a slow command is. */
  readonly complaints: string;
  readonly json: () => Record<string, unknown>;
}

/** Runs one command line in this process. */
export async function cadnn(...argv: readonly string[]): Promise<Outcome> {
  const written = { stdout: "", stderr: "" };
  const capture = (stream: "stdout" | "stderr") =>
    vi.spyOn(process[stream], "write").mockImplementation(((text: string, done?: () => void) => {
      written[stream] += text;
      if (typeof done === "function") done();
      return true;
    }) as typeof process.stdout.write);
  const spies = [capture("stdout"), capture("stderr")];
  try {
    const code = await run(argv);
    const complaints = written.stderr.replaceAll(/^[█░].*\n/gm, "");
    return { code, ...written, complaints, json: () => JSON.parse(written.stdout) as Record<string, unknown> };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}
