import { formatDuration } from "./format.ts";

/** Where a long command tells how far it is. All of it goes to stderr. */
export interface Progress {
  /** `done` of `total` units; shown with the time that is left, as the caller says or from how long those took. */
  update(done: number, total: number, text?: string, secondsLeft?: number): void;
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

/** One line that is rewritten ten times a second on a terminal; elsewhere a new line every ten seconds, the first after ten or, if `forced`, at once. */
export function createProgress(
  stream: ProgressStream,
  { forced = false, now = () => performance.now() }: { readonly forced?: boolean; readonly now?: () => number } = {},
): Progress {
  const terminal = stream.isTTY === true;
  const interval = terminal ? 100 : 10_000;
  const begun = now();
  let started: number | undefined;
  let shown = terminal || forced ? Number.NEGATIVE_INFINITY : begun;
  let drawn = false;
  const clear = () => {
    if (drawn) stream.write("\r\u001b[2K");
    drawn = false;
  };
  return {
    update(done, total, text = "", secondsLeft = undefined) {
      const time = now();
      if (started === undefined || done === 0) started = time;
      if (time - shown < interval && (done < total || !(terminal || forced))) return;
      shown = time;
      const line = progressLine(done, total, secondsLeft ?? (done === 0 ? undefined : ((time - started) / 1000 / done) * (total - done)), text);
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

function progressLine(done: number, total: number, secondsLeft: number | undefined, text: string): string {
  const share = total === 0 ? 1 : done / total;
  const bar = "█".repeat(Math.round(20 * share)).padEnd(20, "░");
  const left = secondsLeft === undefined || done >= total ? [] : [`${formatDuration(secondsLeft)} left`];
  // Parts of a unit say no more than the percentage does.
  const known = [...(Number.isInteger(done) ? [`${done}/${total}`] : []), ...left];
  return `${bar} ${Math.floor(100 * share)} %${known.length === 0 ? "" : ` (${known.join(", ")})`}${text === "" ? "" : ` ${text}`}`;
}
