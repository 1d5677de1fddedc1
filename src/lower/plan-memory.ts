import { control } from "../artifact/control.ts";
import type { Buffer, KernelCall, MemoryPlan, Port, PrepareTask } from "./kernel-graph.ts";
import { roundUp } from "./layout.ts";
import { stagingOf } from "./staging.ts";

const alignment = 64;
/** Kernels may read up to this many bytes before and behind a buffer (never use what they read there). */
const slack = 256;

interface Live {
  readonly buffer: Buffer;
  first: number;
  last: number;
}

/**
 * Resident buffers one after another, then the arena, in which buffers that are not alive together share space: largest first, each at
 * the lowest place that is free for its whole life (greedy by size; arXiv 2001.03288).
 */
export function planMemory(
  calls: readonly KernelCall[],
  inputs: readonly Port[],
  outputs: readonly Port[],
  prepare: readonly PrepareTask[],
  residents: readonly Buffer[],
): MemoryPlan {
  const addresses = new Map<Buffer, number>();
  let next: number = control.bytes + slack;
  const place = (buffer: Buffer) => {
    if (addresses.has(buffer)) return;
    addresses.set(buffer, next);
    next = roundUp(next + buffer.bytes, alignment);
  };
  for (const buffer of residents) place(buffer);
  const lives = lifetimes(calls, inputs, outputs);
  for (const { buffer } of lives) if (buffer.region === "resident") place(buffer);
  const arena = roundUp(next + slack, alignment);
  const placed: { live: Live; start: number; end: number }[] = [];
  let top = 0;
  for (const live of lives.filter((l) => l.buffer.region === "arena").sort((a, b) => b.buffer.bytes - a.buffer.bytes || a.buffer.id - b.buffer.id)) {
    const busy = placed.filter((p) => p.live.first <= live.last && live.first <= p.live.last).sort((a, b) => a.start - b.start);
    let start = 0;
    for (const p of busy) {
      if (start + live.buffer.bytes <= p.start) break;
      start = Math.max(start, roundUp(p.end, alignment));
    }
    const end = start + live.buffer.bytes;
    placed.push({ live, start, end });
    addresses.set(live.buffer, arena + start);
    top = Math.max(top, end);
  }
  const largest = prepare.reduce((n, task) => Math.max(n, stagingOf(task.constant, task.spec).bytes), 0);
  return { addresses, staging: arena, bytes: roundUp(arena + Math.max(top, largest) + slack, alignment), arenaBytes: top, residentBytes: next };
}

function lifetimes(calls: readonly KernelCall[], inputs: readonly Port[], outputs: readonly Port[]): Live[] {
  const lives = new Map<Buffer, Live>();
  const touch = (buffer: Buffer, step: number) => {
    const live = lives.get(buffer);
    if (live === undefined) lives.set(buffer, { buffer, first: step, last: step });
    else {
      live.first = Math.min(live.first, step);
      live.last = Math.max(live.last, step);
    }
  };
  for (const port of inputs) touch(port.place.buffer, -1);
  calls.forEach((call, step) => {
    for (const { buffer } of call.operands) touch(buffer, step);
  });
  for (const port of outputs) touch(port.place.buffer, calls.length);
  return [...lives.values()];
}
