import { describe, expect, test } from "vitest";
import { abi, control } from "../../src/artifact/control.ts";
import { targets } from "../../src/codegen/target.ts";
import { disassemble } from "../../src/codegen/wasm/disassemble.ts";
import { generate } from "../../src/generate/index.ts";
import type { KernelTemplate } from "../../src/kernels/kernel.ts";
import { f32Spmv, type SpmvProblem } from "../../src/kernels/wasm/f32-spmv.ts";
import { x32Copy } from "../../src/kernels/wasm/x32-copy.ts";
import type { Buffer, KernelCall, KernelGraph, StoredConstant } from "../../src/lower/kernel-graph.ts";

const buffer = (id: number, elements: number): Buffer => ({ id, name: `b${id}`, bytes: 4 * elements, region: "arena" });
const [x, middle, y, weights] = [buffer(0, 5), buffer(1, 5), buffer(2, 5), buffer(3, 40)] as [Buffer, Buffer, Buffer, Buffer];
const start = control.bytes;
const whole = [x, middle, y, weights].map((b, i) => [b, start + 256 * i] as const);

const problem: SpmvProblem = { m: 5, k: 5, rows: 1, nonZeros: 5, bias: false, activation: { kind: "none" } };
const at = (b: Buffer) => ({ buffer: b, offset: 0 });
const product = (from: Buffer, to: Buffer): KernelCall => ({
  template: f32Spmv as KernelTemplate,
  problem,
  choice: {},
  operands: [at(from), at(weights), at(to)],
  node: `to ${to.name}`,
  macs: 5,
});

/** w[i, 4 − i] = 2: twice the input, reversed. */
const data = Float32Array.from({ length: 25 }, (_, i) => (i % 5 === 4 - Math.floor(i / 5) ? 2 : 0));
const constant: StoredConstant = { name: "w", dtype: "float32", shape: [5, 5], bytes: new Uint8Array(data.buffer), encoding: { kind: "dense" } };

function graphOf(calls: readonly KernelCall[]): KernelGraph {
  return {
    name: "net",
    target: targets["wasm-x64-plain"],
    calls,
    prepare: [{ constant, spec: { kind: "stream", m: 5, channels: 5, channelStride: 1, taps: [0], group: 4, filters: 1, alike: true, pass: 5, relative: false }, to: weights }],
    inputs: [{ name: "x", dtype: "float32", shape: [5], place: at(x) }],
    outputs: [{ name: "y", dtype: "float32", shape: [5], place: at(y) }],
    parameters: [],
    memory: { addresses: new Map(whole), staging: start + 8192, bytes: 70000, arenaBytes: 0, residentBytes: 0 },
  };
}

function load(graph: KernelGraph) {
  const { module, record } = generate(graph);
  const bytes = Uint8Array.from(module);
  bytes[record.sharedFlagOffset] = 1;
  const memory = new WebAssembly.Memory({ initial: record.pages, maximum: record.pages });
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { [abi.memory[0]]: { [abi.memory[1]]: memory } });
  const call = (name: string, ...args: number[]) => (instance.exports[name] as (...args: number[]) => void)(...args);
  const floats = new Float32Array(memory.buffer);
  floats.set([1, 2, 3, 4, 5], (record.inputOffsets[0] as number) / 4);
  new Uint8Array(memory.buffer, start + 8192).set(constant.bytes);
  call(abi.prepare, 0);
  const words = new Int32Array(memory.buffer);
  return {
    call,
    record,
    words,
    output: () => [...floats.subarray((record.outputOffsets[0] as number) / 4, (record.outputOffsets[0] as number) / 4 + 5)],
    text: disassemble(module),
  };
}

describe("generate", () => {
  const twice = graphOf([product(x, middle), product(middle, y)]);

  test("run does all calls in order; the record says where things are", () => {
    const { call, record, output } = load(twice);
    call(abi.run, 0, 1);
    expect(output()).toEqual([4, 8, 12, 16, 20]);
    expect(record).toMatchObject({ target: "wasm-x64-plain", pages: 2, inputOffsets: [start], outputOffsets: [start + 512], parameters: [] });
    expect(record.steps).toEqual([
      { node: "to b1", kernel: "f32-spmv", macs: 5 },
      { node: "to b2", kernel: "f32-spmv", macs: 5 },
    ]);
  });

  test.each([1, 2, 3, 4, 7])("the shares of %d threads add up to each step", (threads) => {
    const { call, output } = load(twice);
    for (const step of [0, 1]) for (let thread = threads - 1; thread >= 0; thread--) call(abi.runStep, step, thread, threads);
    expect(output()).toEqual([4, 8, 12, 16, 20]);
  });

  test("warm calls kernels and changes nothing", () => {
    const dear: KernelTemplate = { ...(f32Spmv as KernelTemplate), cost: () => 1e6 };
    const { call, output, words } = load(graphOf([{ ...product(x, middle), template: dear }, product(middle, y)]));
    const before = words.slice();
    call(abi.warm);
    expect(words).toEqual(before);
    call(abi.run, 0, 1);
    expect(output()).toEqual([4, 8, 12, 16, 20]);
  });

  test("equal kernels are one function, and equal graphs equal bytes", () => {
    const functions = (graph: KernelGraph) => disassemble(generate(graph).module).match(/^func/gm)?.length as number;
    expect(functions(twice)).toBe(functions(graphOf([product(x, y)])));
    expect(generate(twice).module).toEqual(generate(graphOf([product(x, middle), product(middle, y)])).module);
  });

  test("a repeated call moves every operand on by its own stride", () => {
    const move: KernelCall = {
      template: x32Copy as KernelTemplate,
      problem: { dims: [{ size: 1, strides: [1, 1] }] },
      choice: {},
      operands: [at(x), { buffer: y, offset: 4 }],
      repeat: { count: 5, strides: [1, -1] },
      node: "reverse",
      macs: 0,
    };
    const { call, output } = load(graphOf([move]));
    call(abi.run, 0, 1);
    expect(output()).toEqual([5, 4, 3, 2, 1]);
  });

  test("a net beyond 4 GiB is refused", () => {
    const huge = { ...twice, memory: { ...twice.memory, bytes: 5 * 2 ** 30 } };
    expect(() => generate(huge)).toThrow(expect.objectContaining({ code: "E_OUT_OF_MEMORY", at: "net" }));
  });
});
