import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Code, f32, f32x4, i32, i32x4, i64, signed, unsigned, v128 } from "../../src/codegen/wasm/code.ts";
import type { FunctionBuilder } from "../../src/codegen/wasm/function.ts";
import { assemble } from "./run.ts";

/** Stores a value of any type at address 0. */
function store(fn: FunctionBuilder, value: Code): void {
  if (value.type === "i32") fn.storeI32(i32.const(0), value as Code<"i32">);
  else if (value.type === "i64") fn.storeI32(i32.const(0), i32.wrapI64(value as Code<"i64">));
  else if (value.type === "f32") fn.storeF32(i32.const(0), value as Code<"f32">);
  else fn.store(i32.const(0), value as Code<"v128">);
}

describe("LEB128", () => {
  test("unsigned numbers", () => {
    expect(unsigned(0)).toEqual([0]);
    expect(unsigned(127)).toEqual([127]);
    expect(unsigned(128)).toEqual([0x80, 1]);
    expect(unsigned(624485)).toEqual([0xe5, 0x8e, 0x26]);
    expect(unsigned(2 ** 32 - 1)).toEqual([255, 255, 255, 255, 15]);
  });

  test("signed numbers", () => {
    expect(signed(0)).toEqual([0]);
    expect(signed(-1)).toEqual([0x7f]);
    expect(signed(63)).toEqual([63]);
    expect(signed(64)).toEqual([0xc0, 0]);
    expect(signed(-64)).toEqual([0x40]);
    expect(signed(-123456)).toEqual([0xc0, 0xbb, 0x78]);
    expect(signed(-(2 ** 31))).toEqual([0x80, 0x80, 0x80, 0x80, 0x78]);
  });

  test("engines read any constant and offset back", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 0, max: 65532 }), (value, offset) => {
        const { run, words, bytes } = assemble(0, (fn) => {
          fn.storeI32(i32.const(0), i32.const(value), 0);
          fn.storeI32(i32.const(0), i32.const(value), offset);
        }).load();
        run();
        expect(new DataView(bytes.buffer).getInt32(offset, true)).toBe(value);
        if (offset > 3) expect(words[0]).toBe(value);
      }),
      { numRuns: 50 },
    );
  });
});

const [p, q] = [i32.const(7), i32.const(3)];
const long = i64.const(70000);
const [s, t] = [f32.const(1.5), f32.const(-2)];
const [u, v, w] = [v128.const([1, 2, 3, 4]), v128.const([5, 6, 7, 8]), v128.const([-1, -1, -1, -1])];

const pairs = <K extends string, C>(ops: Readonly<Record<K, (a: C, b: C) => Code>>, names: readonly K[], a: C, b: C): [string, Code][] =>
  names.map((name) => [name, ops[name](a, b)]);
const singles = <K extends string, C>(ops: Readonly<Record<K, (a: C) => Code>>, names: readonly K[], a: C): [string, Code][] => names.map((name) => [name, ops[name](a)]);

/** One use of every instruction that yields a value. */
const samples = {
  i32: [
    ["const", i32.const(-5)],
    ...pairs(
      i32,
      ["add", "sub", "mul", "divS", "divU", "remU", "and", "or", "xor", "shl", "shrS", "shrU", "eq", "ne", "ltS", "ltU", "gtS", "gtU", "leS", "leU", "geS", "geU"],
      p,
      q,
    ),
    ...singles(i32, ["eqz", "popcnt", "ctz", "load", "load8u", "load16u", "atomicLoad"], i32.const(8)),
    ["select", i32.select(p, q, i32.const(1))],
    ...singles(i32, ["truncSatF32", "reinterpretF32"], s),
    ["wrapI64", i32.wrapI64(long)],
    ["atomicAdd", i32.atomicAdd(i32.const(16), p, 4)],
    ["atomicWait", i32.atomicWait(i32.const(16), p, 20, 4)],
    ["atomicNotify", i32.atomicNotify(i32.const(16), p, 4)],
  ],
  i64: [
    ["const", long],
    ["extendI32U", i64.extendI32U(p)],
    ...pairs(i64, ["ne", "or", "shl", "shrU"], long, i64.const(3)),
    ["atomicLoad", i64.atomicLoad(i32.const(8), 16)],
    ["atomicCompareExchange", i64.atomicCompareExchange(i32.const(8), long, i64.const(-2), 16)],
  ],
  f32: [
    ["const", f32.const(0.1)],
    ...pairs(f32, ["add", "sub", "mul", "div", "min", "max", "eq", "ne", "lt", "gt", "le", "ge"], s, t),
    ...singles(f32, ["abs", "neg", "ceil", "floor", "trunc", "nearest", "sqrt"], s),
    ...singles(f32, ["load", "convertI32", "reinterpretI32"], p),
    ["select", f32.select(s, t, p)],
  ],
  v128: [
    ...singles(v128, ["load", "load32Splat", "load32Zero", "load64Zero"], p),
    ["const", u],
    ["constI32", v128.constI32(0x7fffffff)],
    ["constI32x4", v128.constI32x4([-1, 0, 1, 0x7fffffff])],
    ...singles(v128, ["not", "anyTrue"], u),
    ...pairs(v128, ["and", "andnot", "or", "xor"], u, v),
    ["bitselect", v128.bitselect(u, v, w)],
    ["shuffle", v128.shuffle(u, v, [0, 2, 5, 7])],
    ["shuffleBytes", v128.shuffleBytes(u, v, [0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 31])],
  ],
  i32x4: [
    ["splat", i32x4.splat(p)],
    ...pairs(i32x4, ["add", "sub", "mul", "eq", "ltU"], u, v),
    ["shl", i32x4.shl(u, p)],
    ["shrS", i32x4.shrS(u, p)],
    ["truncSatF32x4", i32x4.truncSatF32x4(u)],
  ],
  f32x4: [
    ["splat", f32x4.splat(s)],
    ["const", f32x4.const(-0.5)],
    ["extract", f32x4.extract(u, 2)],
    ["replace", f32x4.replace(u, 1, s)],
    ...pairs(f32x4, ["add", "sub", "mul", "div", "min", "max", "pmin", "pmax", "eq", "ne", "lt", "gt", "le", "ge"], u, v),
    ...singles(f32x4, ["abs", "neg", "sqrt", "ceil", "floor", "trunc", "nearest", "convertI32x4"], u),
    ["relaxedMadd", f32x4.relaxedMadd(u, v, w)],
    ["relaxedNmadd", f32x4.relaxedNmadd(u, v, w)],
  ],
} satisfies Record<string, readonly (readonly [string, Code])[]>;

describe("instructions", () => {
  test.each(Object.entries({ i32, i64, f32, v128, i32x4, f32x4 }))("every instruction of %s has a sample", (name, namespace) => {
    const known = new Set((samples as Record<string, readonly (readonly [string, Code])[]>)[name]?.map(([op]) => op));
    expect(Object.keys(namespace).filter((op) => !known.has(op))).toEqual([]);
  });

  test.each(Object.entries(samples).flatMap(([space, list]) => list.map(([op, code]) => [`${space}.${op}`, code] as const)))(
    "%s is valid and has the type it says",
    (_name, code) => {
      expect(assemble(0, (fn) => store(fn, code)).valid()).toBe(true);
    },
  );

  test("their text", async () => {
    const module = assemble(0, (fn) => {
      for (const list of Object.values(samples)) for (const [, code] of list) fn.drop(code);
    });
    await expect(module.text()).toMatchFileSnapshot("golden/instructions.txt");
  });

  const shifts = { shl: (a: number, b: number) => a << b, shrS: (a: number, b: number) => a >> b, shrU: (a: number, b: number) => (a >>> b) | 0 };
  const arithmetic = { add: (a: number, b: number) => (a + b) | 0, sub: (a: number, b: number) => (a - b) | 0, mul: Math.imul, and: (a: number, b: number) => a & b };
  const bits = { or: (a: number, b: number) => a | b, xor: (a: number, b: number) => a ^ b };
  const order = {
    eq: (a: number, b: number) => a === b,
    ne: (a: number, b: number) => a !== b,
    ltS: (a: number, b: number) => a < b,
    gtS: (a: number, b: number) => a > b,
    leS: (a: number, b: number) => a <= b,
    geS: (a: number, b: number) => a >= b,
    ltU: (a: number, b: number) => a >>> 0 < b >>> 0,
    gtU: (a: number, b: number) => a >>> 0 > b >>> 0,
    leU: (a: number, b: number) => a >>> 0 <= b >>> 0,
    geU: (a: number, b: number) => a >>> 0 >= b >>> 0,
  };
  const division = {
    divS: (a: number, b: number) => (a / b) | 0,
    divU: (a: number, b: number) => Math.floor((a >>> 0) / (b >>> 0)) | 0,
    remU: (a: number, b: number) => ((a >>> 0) % (b >>> 0)) | 0,
  };
  test("integers compute what JavaScript computes", () => {
    const table: Readonly<Record<string, (a: number, b: number) => number | boolean>> = { ...arithmetic, ...bits, ...shifts, ...order, ...division };
    const names = Object.keys(table) as (keyof typeof arithmetic)[];
    const { run, words } = assemble(2, (fn, a, b) => {
      names.forEach((name, i) => {
        fn.storeI32(i32.const(4 * i), i32[name](a as Code<"i32">, b as Code<"i32">));
      });
    }).load();
    fc.assert(
      fc.property(fc.integer(), fc.oneof(fc.integer(), fc.constantFrom<number>(1, 31, -3)), (a, b) => {
        if (b === 0 || (a === -(2 ** 31) && b === -1)) return;
        run(a, b);
        expect([...words.subarray(0, names.length)]).toEqual(names.map((name) => Number(table[name]?.(a, b))));
      }),
    );
  });

  test("shuffles take lanes of the first vector as 0…3, of the second as 4…7", () => {
    const { run, floats } = assemble(0, (fn) => fn.store(i32.const(0), v128.shuffle(u, v, [7, 0, 4, 3]))).load();
    run();
    expect([...floats.subarray(0, 4)]).toEqual([8, 1, 5, 4]);
  });

  test("bitselect takes the first where the mask is set", () => {
    const { run, floats } = assemble(0, (fn) => fn.store(i32.const(0), v128.bitselect(u, v, f32x4.lt(u, f32x4.const(2.5))))).load();
    run();
    expect([...floats.subarray(0, 4)]).toEqual([1, 2, 7, 8]);
  });
});
