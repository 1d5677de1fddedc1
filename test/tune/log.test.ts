import { describe, expect, test } from "vitest";
import { CadnnError } from "../../src/errors.ts";
import { f32Spmm } from "../../src/kernels/wasm/f32-spmm.ts";
import { formatLog, formatRecord, mergeLogs, parseTuningLog, type TuningRecord } from "../../src/tune/index.ts";
import { problemText } from "../../src/tune/log.ts";

const record = (changes: Partial<TuningRecord> = {}): TuningRecord => ({
  kernel: "f32-gemm",
  problem: '{"activation":{"high":"Infinity","kind":"clamp","low":0},"m":8}',
  target: "wasm-x64-relaxed",
  engine: "v8-11.3/x64/1a2b3c4d",
  space: 12,
  times: [
    { choice: '{"filters":4}', ns: 1200 },
    { choice: '{"filters":6}', ns: 1500 },
  ],
  ...changes,
});

function failure(text: string): CadnnError {
  try {
    parseTuningLog(text);
  } catch (error) {
    if (error instanceof CadnnError) return error;
  }
  throw new Error("nothing was thrown");
}

describe("a tuning log as text", () => {
  test("is one line a record and reads back", () => {
    const log = { records: [record(), record({ kernel: "f32-spmm" })] };
    const text = formatLog(log);
    expect(text.trimEnd().split("\n")).toHaveLength(2);
    expect(parseTuningLog(text)).toEqual(log);
    expect(text.split("\n")[0]).toBe(
      '{"v":1,"kernel":"f32-gemm","target":"wasm-x64-relaxed","engine":"v8-11.3/x64/1a2b3c4d","space":12,' +
        '"problem":{"activation":{"high":"Infinity","kind":"clamp","low":0},"m":8},"times":[{"ns":1200,"choice":{"filters":4}},{"ns":1500,"choice":{"filters":6}}]}',
    );
  });

  test("may be empty, have blank lines, or end without a newline", () => {
    expect(parseTuningLog("").records).toEqual([]);
    expect(parseTuningLog(`\n${formatRecord(record())}\n`).records).toEqual([record()]);
    expect(parseTuningLog(formatRecord(record()).trimEnd()).records).toEqual([record()]);
  });

  test("drops a last line that was cut at any place", () => {
    const whole = formatRecord(record());
    const next = formatRecord(record({ kernel: "f32-spmm" })).trimEnd();
    for (let end = 0; end < next.length; end++) expect(parseTuningLog(whole + next.slice(0, end)).records).toEqual([record()]);
  });

  test("later records of the same problem replace earlier ones", () => {
    const again = record({ times: [{ choice: '{"filters":6}', ns: 900 }] });
    expect(parseTuningLog(formatRecord(record()) + formatRecord(again)).records).toEqual([again]);
    expect(mergeLogs({ records: [record()] }, { records: [again] }, { records: [record({ engine: "chrome-156/x64/2-threads" })] }).records).toHaveLength(2);
  });

  test.each([
    ["{nonsense", "it is no JSON"],
    ["17", "it is no object"],
    ['{"v":1,"engine":"e"}', "kernel or engine is missing"],
    ['{"v":1,"kernel":"k","engine":"e","target":"vax"}', "there is no target vax"],
    ['{"v":1,"kernel":"k","engine":"e","target":"wasm-x64-plain","space":1}', "space, problem or times is missing"],
    ['{"v":1,"kernel":"k","engine":"e","target":"wasm-x64-plain","space":1,"problem":{},"times":[{"ns":-1,"choice":{}}]}', "a time is no positive number"],
  ])("names the line of damage: %s", (line, why) => {
    const error = failure(`${formatRecord(record())}${line}\n`);
    expect([error.code, error.at, error.hint]).toEqual(["E_CORRUPT", "line 2 of the tuning log", "Delete the line; what it held is measured again."]);
    expect(error.message).toContain(why);
  });

  test("refuses records of another version", () => {
    expect(failure('{"v":2,"kernel":"k"}\n')).toMatchObject({ code: "E_UNSUPPORTED_VERSION", at: "line 1 of the tuning log" });
  });
});

describe("the text of a problem", () => {
  const problem = {
    m: 8,
    nonZeros: 1234,
    channels: 99,
    channelStride: 64,
    taps: [0],
    block: 1,
    region: { h: 1, w: 64, inPitch: 0, outPitch: 0 },
    outStride: 64,
    bias: true,
    residual: false,
    activation: { kind: "none" },
  } as const;

  test("does not depend on the order of its fields", () => {
    const turned = Object.fromEntries(Object.entries(problem).reverse()) as unknown as typeof problem;
    expect(problemText(f32Spmm, turned)).toBe(problemText(f32Spmm, problem));
  });

  test("rounds the number of non-zeros, so that like layers share measurements", () => {
    expect(problemText(f32Spmm, { ...problem, nonZeros: 1210 })).toBe(problemText(f32Spmm, problem));
    expect(problemText(f32Spmm, { ...problem, nonZeros: 1300 })).not.toBe(problemText(f32Spmm, problem));
  });
});
