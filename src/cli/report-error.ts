import { CadnnError } from "../errors.ts";

/** 0: done. 1: the user's files or data. 2: the command line. 70: a bug of ours. 130: interrupted. */
export type ExitCode = 0 | 1 | 2 | 70 | 130;

export function exitCodeOf(error: unknown): ExitCode {
  if (!(error instanceof CadnnError) || error.code === "E_INTERNAL") return 70;
  if (error.code === "E_INVALID_OPTION") return 2;
  return error.code === "E_INTERRUPTED" ? 130 : 1;
}

/** The text for stderr: code, place and message, then the hint; bugs come with their stack. */
export function formatError(error: unknown): string {
  if (!(error instanceof CadnnError)) {
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return `error E_INTERNAL: ${stack}\n  This is a bug in cadnn. Please report it.`;
  }
  const head = `error ${error.code}${error.at === undefined ? "" : ` at ${error.at}`}: ${error.message}`;
  const hint = error.hint === undefined ? "" : `\n  ${error.hint}`;
  const stack = error.code === "E_INTERNAL" && error.stack !== undefined ? `\n${error.stack.slice(error.stack.indexOf("\n") + 1)}` : "";
  return `${head}${hint}${stack}`;
}

export interface ErrorReport {
  readonly code: string;
  readonly at?: string | undefined;
  readonly message: string;
  readonly hint?: string | undefined;
  readonly problems?: readonly ErrorReport[] | undefined;
}

/** The same for `--json`. */
export function errorReport(error: unknown): ErrorReport {
  if (!(error instanceof CadnnError)) return { code: "E_INTERNAL", message: error instanceof Error ? error.message : String(error) };
  const { code, at, message, hint, problems } = error;
  return { code, at, message, hint, problems: problems.length === 0 ? undefined : problems.map(errorReport) };
}
