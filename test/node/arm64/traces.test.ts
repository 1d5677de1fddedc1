import { describe, expect, test } from "vitest";
import { classOf, parseIntervals, piecesOf, tracesOf } from "../../../src/node/arm64/index.ts";

const nop = 0xd503201f;
const add = 0x11000400; // add w0, w0, #1
const fmla = 0x4e22cc20; // fmla v0.4s, v1.4s, v2.4s
const ret = 0xd65f03c0;
/** cbnz w0, distance in instructions */
const cbnz = (distance: number) => (0x35000000 | ((distance & 0x7ffff) << 5)) >>> 0;

describe("pieces", () => {
  test("count instructions, however the emulator cut its blocks", () => {
    // The first round of the loop belongs to the block that enters it.
    const loop = [add, fmla, cbnz(-2)];
    const cut = [
      { address: 0, runs: 1, words: [add, ...loop] },
      { address: 4, runs: 9, words: loop },
      { address: 16, runs: 1, words: [ret] },
    ];
    const recut = [
      { address: 0, runs: 1, words: [add, add] },
      { address: 4, runs: 9, words: [add] },
      { address: 8, runs: 10, words: [fmla, cbnz(-2)] },
      { address: 16, runs: 1, words: [ret] },
    ];
    const expected = [
      { address: 0, runs: 1, words: [add] },
      { address: 4, runs: 10, words: loop },
      { address: 16, runs: 1, words: [ret] },
    ];
    expect(piecesOf(cut)).toEqual(expected);
    expect(piecesOf(recut.toReversed())).toEqual(expected);
  });

  test("of code that replaced other code stay apart", () => {
    const pieces = piecesOf([
      { address: 0, runs: 3, words: [add, ret] },
      { address: 0, runs: 5, words: [fmla, ret] },
    ]);
    expect(pieces.map((p) => p.runs)).toEqual([3, 5]);
  });
});

describe("traces", () => {
  test("join what runs equally often, through branches, and know loops", () => {
    const blocks = [
      { address: 0, runs: 1, words: [add] },
      { address: 4, runs: 100, words: [add, cbnz(2)] },
      { address: 12, runs: 1, words: [nop] }, // left by the branch nearly always
      { address: 16, runs: 100, words: [fmla, cbnz(-4)] },
      { address: 24, runs: 1, words: [ret] },
    ];
    const traces = tracesOf(blocks);
    expect(traces.filter((t) => t.loop)).toEqual([{ runs: 100, loop: true, words: [add, cbnz(2), fmla, cbnz(-4)] }]);
    expect(traces.reduce((n, t) => n + t.runs * t.words.length, 0)).toBe(403);
  });

  test("have each instruction once", () => {
    const blocks = [
      { address: 0, runs: 7, words: [add, cbnz(-1)] },
      { address: 8, runs: 7, words: [fmla, cbnz(-3)] },
    ];
    expect(tracesOf(blocks)).toEqual([{ runs: 7, loop: true, words: [add, cbnz(-1), fmla, cbnz(-3)] }]);
  });
});

test("classes of instructions", () => {
  const classes = { [fmla]: "multiplyAdd", [add]: "integer", [ret]: "branch", 1035994145: "loadVector", 1031799841: "storeFloat", 1308886049: "spread", 1296091168: "loadSpread" };
  for (const [word, name] of Object.entries(classes)) expect(classOf(Number(word)), word).toBe(name);
});

test("the counter's lines become intervals", () => {
  expect(parseIntervals('{"label":3,"blocks":[[4096,2,"0000002a11000400"],[64,1,"d65f03c0"]]}\n')).toEqual([
    {
      label: 3,
      instructions: 5,
      blocks: [
        { address: 4096, runs: 2, words: [42, add] },
        { address: 64, runs: 1, words: [ret] },
      ],
    },
  ]);
});
