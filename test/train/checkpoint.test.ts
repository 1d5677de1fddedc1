import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeCheckpoint, encodeCheckpoint } from "../../src/train/checkpoint.ts";

const sample = () =>
  encodeCheckpoint({
    meta: { phase: 1, note: "ρ" },
    arrays: new Map([
      ["a", Float32Array.of(1, -0, Number.NaN)],
      ["empty", new Float32Array(0)],
    ]),
  });

describe("checkpoint", () => {
  test("comes back bit by bit", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.dictionary(fc.string(), fc.uint8Array({ maxLength: 40 })), (meta, dictionary) => {
        const arrays = new Map(Object.entries(dictionary).map(([name, bytes]) => [name, new Float32Array(bytes.slice(0, bytes.length & ~3).buffer)]));
        const json = JSON.parse(JSON.stringify(meta)) as unknown;
        const back = decodeCheckpoint(encodeCheckpoint({ meta: json, arrays }));
        expect(back.meta).toEqual(json);
        expect([...back.arrays.keys()]).toEqual([...arrays.keys()]);
        for (const [name, data] of arrays) expect(new Uint32Array((back.arrays.get(name) as Float32Array).buffer)).toEqual(new Uint32Array(data.buffer));
      }),
    );
  });

  test("a flipped bit or a missing end is noticed", () => {
    const bytes = sample();
    for (let i = 0; i < bytes.length; i++) {
      const damaged = bytes.slice();
      damaged[i] = (damaged[i] as number) ^ 0x10;
      expect(() => decodeCheckpoint(damaged), `byte ${i}`).toThrowError(expect.objectContaining({ code: expect.stringMatching(/E_CORRUPT|E_INVALID_FILE|E_UNSUPPORTED_VERSION/) }));
      expect(() => decodeCheckpoint(bytes.slice(0, i)), `length ${i}`).toThrowError(expect.objectContaining({ code: expect.stringMatching(/E_CORRUPT|E_INVALID_FILE/) }));
    }
  });
});
