import { existsSync } from "node:fs";

/** Ends an interval of the instruction counter, which sees the look for a file of this name; outside of the emulation a call without effect. */
export function markInterval(label: number): void {
  existsSync(`/cadnn-interval/${label}`);
}
