import type { Buffer, KernelCall, MemoryPlan, Place } from "../lower/kernel-graph.ts";

interface Range {
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
}

/**
 * For each call, whether all threads must meet before it: if since the last meeting another call wrote what it reads, or touched what it
 * writes. Buffers that share memory count as one; parts of one buffer that calls declare disjoint (`joins`) do not clash.
 */
export function placeBarriers(calls: readonly KernelCall[], memory: MemoryPlan): boolean[] {
  let reads: Range[] = [];
  let writes: Range[] = [];
  const rangeOf = ({ buffer }: Place): Range => {
    const start = memory.addresses.get(buffer) as number;
    return { buffer, start, end: start + buffer.bytes };
  };
  const overlaps = (a: Range, b: Range) => a.start < b.end && b.start < a.end;
  return calls.map((call) => {
    const output = rangeOf(call.operands.at(-1) as Place);
    const inputs = call.operands.slice(0, -1).map(rangeOf);
    const scratch = call.scratch === undefined ? [] : [rangeOf(call.scratch)];
    const harmless = (other: Range) => call.joins === true && other.buffer === output.buffer;
    const needed =
      writes.some((w) => (overlaps(w, output) && !harmless(w)) || inputs.some((i) => overlaps(w, i))) || reads.some((r) => [output, ...scratch].some((o) => overlaps(r, o)));
    if (needed) {
      reads = [];
      writes = [];
    }
    writes.push(output, ...scratch);
    reads.push(...inputs);
    return needed;
  });
}
