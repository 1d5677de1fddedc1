import { type I32, i32 } from "../codegen/wasm/code.ts";
import type { FunctionBuilder, FunctionRef, Local } from "../codegen/wasm/function.ts";
import type { ModuleBuilder } from "../codegen/wasm/module.ts";
import { elementCount } from "../ir/types.ts";
import { type StreamShape, streamPasses, streamRows } from "../kernels/weight-stream.ts";
import type { PrepareSpec, StoredConstant } from "../lower/kernel-graph.ts";
import { stagingOf } from "../lower/staging.ts";
import { emitCompact, emitIndices, emitScatter } from "./non-zeros.ts";
import { emitPack } from "./prepare-pack.ts";
import { emitRows, emitTable } from "./prepare-stream.ts";
import { emitWinograd } from "./prepare-winograd.ts";

/**
 * What all weights of a module share. Few functions that are called often: so most of the work runs in optimized code, where code made for each weight would
 * run once, and never be optimized.
 */
export interface PrepareFunctions {
  readonly indices: () => FunctionRef;
  readonly compact: () => FunctionRef;
  readonly scatter: () => FunctionRef;
  readonly pack: () => FunctionRef;
  readonly winograd: () => FunctionRef;
  readonly rows: (shape: Pick<StreamShape, "group" | "filters">) => FunctionRef;
}

/** Each is emitted when it is first asked for. */
export function prepareFunctions(builder: ModuleBuilder): PrepareFunctions {
  const known = new Map<string, FunctionRef>();
  const once = (emit: (builder: ModuleBuilder) => FunctionRef, name: string = emit.name): FunctionRef => {
    const ref = known.get(name) ?? emit(builder);
    known.set(name, ref);
    return ref;
  };
  return {
    indices: () => once(emitIndices),
    compact: () => once(emitCompact),
    scatter: () => once(emitScatter),
    pack: () => once(emitPack),
    winograd: () => once(emitWinograd),
    rows: (shape) => once((b) => emitRows(b, shape), `rows ${shape.group} ${shape.filters}`),
  };
}

/** Body of one prepare function: turns a stored constant, dense or sparse, into what a kernel reads. The free memory from `from` on has what `stagingOf` says. */
export function emitPrepare(fn: FunctionBuilder, constant: StoredConstant, spec: PrepareSpec, from: Local<"i32">, to: Local<"i32">, functions: PrepareFunctions): void {
  const { encoding } = constant;
  const elements = elementCount(constant.shape);
  const places = stagingOf(constant, spec);
  const [table, indices, values] = [places.table, places.indices, places.values].map((offset) => i32.add(from, i32.const(offset))) as [I32, I32, I32];
  const numbers = (...list: readonly number[]) => list.map((n) => i32.const(n));
  const findNonZeros = () => {
    if (encoding.kind === "dense") fn.call(functions.compact(), [from, i32.const(elements), indices, values]);
    else fn.call(functions.indices(), [i32.add(from, i32.const(4 * encoding.count)), ...numbers(encoding.count, encoding.gapBits), indices]);
  };
  const expand = (target: I32) => {
    if (encoding.kind === "dense") return fn.copy(target, from, i32.const(elements * 4));
    findNonZeros();
    fn.fill(target, i32.const(0), i32.const(elements * 4));
    fn.call(functions.scatter(), [from, indices, i32.const(encoding.count), target]);
  };
  const rowMajor = (): I32 => {
    if (encoding.kind === "dense") return from;
    expand(values);
    return values;
  };
  switch (spec.kind) {
    case "expand":
      return expand(to);
    case "pack":
      return fn.call(functions.pack(), [rowMajor(), to, ...numbers(spec.m, spec.depth, spec.filters)]);
    case "winograd":
      return fn.call(functions.winograd(), [rowMajor(), to, ...numbers(spec.m, spec.channels, spec.filters, spec.group)]);
    case "stream": {
      findNonZeros();
      emitTable(fn, spec, table);
      const { length } = spec.taps;
      return fn.call(functions.rows(spec), [
        encoding.kind === "sparse" ? from : values,
        indices,
        table,
        to,
        ...numbers(streamRows(spec), streamPasses(spec), spec.channels * length, spec.pass * length),
      ]);
    }
  }
}
