/** Stable codes of everything that can go wrong. Users switch on them; texts may change, codes do not. */
export type ErrorCode =
  | "E_INVALID_FILE" // not the format it claims to be, or truncated
  | "E_CORRUPT" // a checksum or an invariant of a file does not hold
  | "E_UNSUPPORTED_VERSION"
  | "E_UNSUPPORTED_OP"
  | "E_UNSUPPORTED_TYPE"
  | "E_DYNAMIC_SHAPE" // a dimension that must be known when compiling is not
  | "E_SHAPE_MISMATCH"
  | "E_DTYPE_MISMATCH"
  | "E_INVALID_ATTRIBUTE"
  | "E_INVALID_GRAPH" // cycle, undefined or duplicate value
  | "E_NON_FINITE" // NaN or infinity where a weight or a loss must be finite
  | "E_INPUT_NAME"
  | "E_FILE_NOT_FOUND"
  | "E_FILE_WRITE"
  | "E_INVALID_IMAGE"
  | "E_INVALID_DATASET"
  | "E_INVALID_OPTION"
  | "E_NO_BACKEND" // no target of the artifact runs on this engine
  | "E_OUT_OF_MEMORY"
  | "E_DISPOSED"
  | "E_INTERRUPTED"
  | "E_WORKER" // a worker, or a program that was started, died or could not start
  | "E_TOOL_MISSING" // a program that is needed is not installed
  | "E_INTERNAL"; // a bug of cadnn

/** Where, and what to do about it. */
export interface ErrorDetails {
  /** The user's own name for the culprit: a node, an input, a file, an option. */
  readonly at?: string | undefined;
  /** One sentence that tells how to go on. */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
  /** All problems found, where several were collected before giving up. */
  readonly problems?: readonly CadnnError[] | undefined;
}

/** The one error class of cadnn. */
export class CadnnError extends Error {
  readonly code: ErrorCode;
  readonly at: string | undefined;
  readonly hint: string | undefined;
  readonly problems: readonly CadnnError[];

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "CadnnError";
    this.code = code;
    this.at = details.at;
    this.hint = details.hint;
    this.problems = details.problems ?? [];
  }
}

/** Marks a bug of ours: throws `E_INTERNAL` if the condition does not hold. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new CadnnError("E_INTERNAL", `internal error: ${message}`, { hint: "This is a bug in cadnn. Please report it." });
}

/** Throws the only problem as it is, or several as one error that lists them; returns if there is none. */
export function throwProblems(problems: readonly CadnnError[], summary: string): void {
  const first = problems[0];
  if (first === undefined) return;
  if (problems.length === 1) throw first;
  const lines = problems.map((p) => `  ${p.code} ${p.at === undefined ? "" : `${p.at}: `}${p.message}`);
  throw new CadnnError(first.code, `${summary}\n${lines.join("\n")}`, { at: first.at, hint: first.hint, problems });
}
