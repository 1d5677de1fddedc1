import { formatDuration } from "./format.ts";

/** Where a long command tells how far it is. All of it goes to stderr. */
export interface Progress {
  /** `done` of `total` units; shown with the time that is left. */
  update(done: number, total: number, text?: string): void;
  /** Something worth knowing, on a line of its own. */
  note(text: string): void;
  /** Clears the line. */
  end(): void;
}

export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** One line that is rewritten ten times a second on a terminal; elsewhere, only if `forced`, a new line every five seconds. */
export function createProgress(
  stream: ProgressStream,
  { forced = false, now = () => performance.now() }: { readonly forced?: boolean; readonly now?: () => number } = {},
): Progress {
  const terminal = stream.isTTY === true;
  const interval = terminal ? 100 : 5000;
  let started: number | undefined;
  let shown = Number.NEGATIVE_INFINITY;
  let drawn = false;
  const clear = () => {
    if (drawn) stream.write("\r\u001b[2K");
    drawn = false;
  };
  return {
    update(done, total, text = "") {
      const time = now();
      if (started === undefined || done === 0) started = time;
      if ((!terminal && !forced) || (time - shown < interval && done < total)) return;
      shown = time;
      const line = progressLine(done, total, (time - started) / 1000, text);
      if (!terminal) {
        stream.write(`${line}\n`);
        return;
      }
      clear();
      stream.write(line.slice(0, (stream.columns ?? 80) - 1));
      drawn = true;
    },
    note(text) {
      clear();
      stream.write(`${text}\n`);
    },
    end() {
      clear();
      started = undefined;
    },
  };
}

function progressLine(done: number, total: number, seconds: number, text: string): string {
  const share = total === 0 ? 1 : done / total;
  const bar = "█".repeat(Math.round(20 * share)).padEnd(20, "░");
  const left = done === 0 || done >= total ? "" : `, ${formatDuration((seconds / done) * (total - done))} left`;
  return `${bar} ${Math.floor(100 * share)} % (${done}/${total}${left})${text === "" ? "" : ` ${text}`}`;
}
