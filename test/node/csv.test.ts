import { describe, expect, test } from "vitest";
import { parseCsv, readLabels } from "../../src/node/csv.ts";

describe("parseCsv", () => {
  test.each([
    [
      "a,b\n1,2\n",
      [
        ["a", "b"],
        ["1", "2"],
      ],
    ],
    [
      "a,b\r\n1,2",
      [
        ["a", "b"],
        ["1", "2"],
      ],
    ],
    ['"a ""x"", y",b\n', [['a "x", y', "b"]]],
    ['"two\nlines",b', [["two\nlines", "b"]]],
    [
      "a,\n,b\n\n",
      [
        ["a", ""],
        ["", "b"],
      ],
    ],
    ["a,", [["a", ""]]],
    ["", []],
  ])("%o", (text, rows) => {
    expect(parseCsv(text)).toEqual(rows);
  });

  test("a quote that does not end is an error", () => {
    expect(() => parseCsv('a\n"b', "x.csv")).toThrow(expect.objectContaining({ code: "E_INVALID_DATASET", at: "x.csv" }));
  });
});

describe("readLabels", () => {
  test("finds the columns by name", () => {
    expect(readLabels('author,class,file\n"A, B",7,x.jpg\nC,0,y.jpg\n')).toEqual([
      { file: "x.jpg", label: 7 },
      { file: "y.jpg", label: 0 },
    ]);
  });

  test.each(["a,b\n1,2\n", "file,class\n", "file,class\nx.jpg,cat\n", "file,class\nx.jpg,-1\n", "file,class\n,1\n", "file,class\nx.jpg\n"])("rejects %o", (text) => {
    expect(() => readLabels(text, "x.csv")).toThrow(expect.objectContaining({ code: "E_INVALID_DATASET", at: "x.csv" }));
  });
});
