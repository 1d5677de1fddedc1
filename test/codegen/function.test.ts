import { describe, expect, test } from "vitest";
import { f32, i32, v128 } from "../../src/codegen/wasm/code.ts";
import { i32Params, ModuleBuilder } from "../../src/codegen/wasm/module.ts";
import { assemble } from "./run.ts";

/** Appends a number to a list whose length is word 0. */
function trace(
  body: (fn: Parameters<Parameters<typeof assemble>[1]>[0], note: (value: ReturnType<typeof i32.const>) => void, ...params: ReturnType<typeof i32.const>[]) => void,
  params = 1,
) {
  const module = assemble(params, (fn, ...given) => {
    const note = (value: ReturnType<typeof i32.const>) => {
      const count = fn.let(i32.add(i32.load(i32.const(0)), i32.const(4)));
      fn.storeI32(count, value);
      fn.storeI32(i32.const(0), count);
    };
    body(fn, note, ...given);
  });
  return (...args: number[]): number[] => {
    const { run, words } = module.load();
    run(...args);
    return [...words.subarray(1, 1 + (words[0] as number) / 4)];
  };
}

describe("control flow", () => {
  test("if and else", () => {
    const run = trace((fn, note, n) =>
      fn.if(
        i32.ltS(n as ReturnType<typeof i32.const>, i32.const(3)),
        () => note(i32.const(1)),
        () => note(i32.const(2)),
      ),
    );
    expect(run(2)).toEqual([1]);
    expect(run(3)).toEqual([2]);
  });

  test("for steps up to its end, not at all if it is there", () => {
    const run = trace((fn, note, end) => {
      const i = fn.let(i32.const(-2));
      fn.for(i, end as ReturnType<typeof i32.const>, 3, () => note(i));
    });
    expect(run(7)).toEqual([-2, 1, 4]);
    expect(run(8)).toEqual([-2, 1, 4, 7]);
    expect(run(-2)).toEqual([]);
    expect(run(-5)).toEqual([]);
  });

  test("while asks before, doWhile after", () => {
    const run = trace((fn, note, n) => {
      const i = fn.let(n as ReturnType<typeof i32.const>);
      fn.while(i, () => {
        note(i);
        fn.set(i, i32.sub(i, i32.const(1)));
      });
      fn.doWhile(
        () => note(i32.const(9)),
        () => i32.const(0),
      );
    });
    expect(run(3)).toEqual([3, 2, 1, 9]);
    expect(run(0)).toEqual([9]);
  });

  test("switch runs one case, nested and in loops too", () => {
    const run = trace((fn, note, first, second) => {
      const index = fn.let(first as ReturnType<typeof i32.const>);
      const inner = () =>
        fn.switch(
          second as ReturnType<typeof i32.const>,
          [20, 21].map((x) => () => note(i32.const(x))),
        );
      fn.while(i32.ltS(index, i32.const(4)), () => {
        fn.switch(index, [() => note(i32.const(10)), inner, () => {}, () => note(i32.const(13))]);
        fn.set(index, i32.add(index, i32.const(1)));
      });
    }, 2);
    expect(run(0, 1)).toEqual([10, 21, 13]);
    expect(run(3, 0)).toEqual([13]);
    expect(run(1, 0)).toEqual([20, 13]);
  });

  test("switch over more than 127 cases", () => {
    const run = trace((fn, note, n) =>
      fn.switch(
        n as ReturnType<typeof i32.const>,
        Array.from({ length: 300 }, (_, i) => () => note(i32.const(1000 + i))),
      ),
    );
    for (const i of [0, 127, 128, 299]) expect(run(i)).toEqual([1000 + i]);
  });
});

describe("memory", () => {
  test.each([1, 2, 3, 4])("storeLanes writes the low %d lanes and no more", (count) => {
    const { run, floats } = assemble(0, (fn) => fn.storeLanes(i32.const(16), fn.let(v128.const([1, 2, 3, 4])), count, 4)).load();
    floats.fill(-1);
    run();
    expect([...floats.subarray(4, 10)]).toEqual([-1, ...[1, 2, 3, 4].map((x) => (x <= count ? x : -1)), -1]);
  });

  test("fill and copy", () => {
    const { run, bytes } = assemble(0, (fn) => {
      fn.fill(i32.const(3), i32.const(0x17), i32.const(4));
      fn.copy(i32.const(5), i32.const(2), i32.const(3));
    }).load();
    run();
    expect([...bytes.subarray(2, 9)]).toEqual([0, 0x17, 0x17, 0, 0x17, 0x17, 0]);
  });
});

describe("a module", () => {
  test("bytes of a small function", () => {
    const builder = new ModuleBuilder();
    const twice = builder.function(i32Params(1), (fn, address) => fn.storeF32(address as never, f32.mul(f32.load(address as never, 4), f32.const(2))));
    builder.export("twice", twice);
    builder.export(
      "main",
      builder.function([], (fn) => fn.call(twice, [i32.const(128)])),
    );
    const { bytes, sharedFlagOffset } = builder.finish({ import: ["a", "b"], pages: 200 });
    expect([...bytes].map((b) => b.toString(16).padStart(2, "0")).join(" ")).toBe(
      [
        "00 61 73 6d 01 00 00 00",
        "01 08 02 60 01 7f 00 60 00 00", // types: (i32) → (), () → ()
        "02 0b 01 01 61 01 62 02 03 c8 01 c8 01", // import a.b: memory of 200 pages, shared
        "03 03 02 00 01",
        "07 10 02 05 74 77 69 63 65 00 00 04 6d 61 69 6e 00 01",
        "0a 1c 02", // two bodies
        "12 00 20 00 20 00 2a 02 04 43 00 00 00 40 94 38 02 00 0b",
        "07 00 41 80 01 10 00 0b",
      ].join(" "),
    );
    expect(bytes[sharedFlagOffset]).toBe(3);
  });

  test("the byte at sharedFlagOffset makes the same code run on unshared memory", () => {
    const builder = new ModuleBuilder();
    builder.export(
      "run",
      builder.function([], (fn) => fn.drop(i32.atomicAdd(i32.const(0), i32.const(5)))),
    );
    const { bytes, sharedFlagOffset } = builder.finish({ import: ["m", "memory"], pages: 3 });
    for (const shared of [true, false]) {
      bytes[sharedFlagOffset] = shared ? 3 : 1;
      const memory = new WebAssembly.Memory({ initial: 3, maximum: 3, shared });
      const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { m: { memory } });
      (exports.run as () => void)();
      expect(new Int32Array(memory.buffer)[0]).toBe(5);
    }
  });

  test("equal types are one; runs of equal locals are one declaration", () => {
    const module = assemble(2, (fn) => {
      fn.locals("i32", 3);
      fn.locals("v128", 2);
      fn.local("i32");
    });
    expect(module.text()).toBe('memory "m.memory" 1 pages\n\nfunc 0 "run" (i32, i32) locals 3 i32, 2 v128, 1 i32\n');
  });
});
