import type { Block } from "./traces.ts";

/** Kinds of instructions that tell how good code is: `multiplyAdd` is work, most else is overhead. */
export const instructionClasses = [
  "multiplyAdd",
  "multiply",
  "add",
  "dot",
  "spread",
  "vector",
  "loadSpread",
  "loadVector",
  "loadFloat",
  "storeFloat",
  "load",
  "store",
  "branch",
  "integer",
] as const;
export type InstructionClass = (typeof instructionClasses)[number];

const is = (word: number, mask: number, value: number): boolean => (word & mask) >>> 0 === value;

/** Patterns of A64's encoding (Arm Architecture Reference Manual, C4), the first that fits. */
const patterns: readonly (readonly [InstructionClass, (word: number) => boolean])[] = [
  ["multiplyAdd", (w) => is(w, 0xbf20fc00, 0x0e20cc00) || is(w, 0xbf80b400, 0x0f801000)], // fmla, fmls: vectors; by element
  ["multiply", (w) => is(w, 0xbfa0fc00, 0x2e20dc00) || is(w, 0xbf80f400, 0x0f809000)],
  ["add", (w) => is(w, 0xbf20fc00, 0x0e20d400)], // fadd, fsub
  ["dot", (w) => is(w, 0x9fe0fc00, 0x0e809400)], // sdot, udot
  ["spread", (w) => is(w, 0xbfe0f400, 0x0e000400)], // dup
  ["loadSpread", (w) => is(w, 0xbf60e000, 0x0d40c000)], // ld1r
  ["loadVector", (w) => is(w, 0xbe400000, 0x0c400000)], // ld1 …
  ["storeFloat", (w) => is(w, 0xbe400000, 0x0c000000)], // st1 …
  ["loadVector", (w) => is(w, 0xfec00000, 0x3cc00000) || is(w, 0xfe400000, 0xac400000)], // ldr q, ldp q
  ["loadFloat", (w) => is(w, 0x3e400000, 0x3c400000) || is(w, 0x3e400000, 0x2c400000) || is(w, 0x3f000000, 0x1c000000)],
  ["storeFloat", (w) => is(w, 0x3e400000, 0x3c000000) || is(w, 0x3e400000, 0x2c000000)],
  ["store", (w) => is(w, 0x3ec00000, 0x38000000) || is(w, 0x3a400000, 0x28000000)],
  ["load", (w) => is(w, 0x3e000000, 0x38000000) || is(w, 0x3a400000, 0x28400000) || is(w, 0x3f000000, 0x18000000) || is(w, 0x3f000000, 0x08000000)],
  ["vector", (w) => is(w, 0x0e000000, 0x0e000000)],
  ["branch", (w) => is(w, 0x1c000000, 0x14000000)],
];

export const classOf = (word: number): InstructionClass => patterns.find(([, fits]) => fits(word))?.[0] ?? "integer";

/** Instructions of an interval by their class. */
export function countClasses(blocks: readonly Block[]): Record<InstructionClass, number> {
  const counts = Object.fromEntries(instructionClasses.map((name) => [name, 0])) as Record<InstructionClass, number>;
  for (const { runs, words } of blocks) for (const word of words) counts[classOf(word)] += runs;
  return counts;
}
