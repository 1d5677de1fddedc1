import type { LevelsRecord } from "../artifact/manifest.ts";
import { valuesBytes } from "../artifact/validate.ts";
import { type I32, i32 } from "../codegen/wasm/code.ts";
import type { FunctionBuilder, FunctionRef, Local } from "../codegen/wasm/function.ts";
import type { ModuleBuilder } from "../codegen/wasm/module.ts";
import { elementCount } from "../ir/types.ts";
import { type StreamShape, streamPasses, streamRows } from "../kernels/weight-stream.ts";
import type { WinogradFilters } from "../kernels/winograd.ts";
import type { PrepareSpec, StoredConstant } from "../lower/kernel-graph.ts";
import { stagingOf } from "../lower/staging.ts";
import { emitCompact, emitIndices, emitScatter } from "./non-zeros.ts";
import { emitLevels } from "./prepare-levels.ts";
import { emitPack } from "./prepare-pack.ts";
import { emitPairRows } from "./prepare-pairs.ts";
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
  readonly levels: (sparse: boolean) => FunctionRef;
  readonly pack: () => FunctionRef;
  readonly winograd: (shape: WinogradFilters) => FunctionRef;
  readonly rows: (shape: Pick<StreamShape, "group" | "filters" | "alike">) => FunctionRef;
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
    levels: (sparse) => once((b) => emitLevels(b, sparse), `levels ${sparse}`),
    pack: () => once(emitPack),
    winograd: (shape) => once((b) => emitWinograd(b, shape), `winograd ${shape.kernel} ${shape.stride} ${shape.side}`),
    rows: (shape) => (shape.alike ? once((b) => emitRows(b, shape), `rows ${shape.group} ${shape.filters}`) : once(emitPairRows)),
  };
}

/** Body of one prepare function: turns a stored constant, dense or sparse, floats or levels, into what a kernel reads. The free memory from `from` on has what `stagingOf` says. */
export function emitPrepare(fn: FunctionBuilder, constant: StoredConstant, spec: PrepareSpec, from: Local<"i32">, to: Local<"i32">, functions: PrepareFunctions): void {
  const { encoding } = constant;
  const elements = elementCount(constant.shape);
  const places = stagingOf(constant, spec);
  const [table, indices, values, floats] = [places.table, places.indices, places.values, places.floats].map((offset) => i32.add(from, i32.const(offset))) as [I32, I32, I32, I32];
  const numbers = (...list: readonly number[]) => list.map((n) => i32.const(n));
  const { levels } = encoding;
  /** Values that are stored as levels, as floats. */
  const decode = ({ groups, palette, bits }: LevelsRecord, target: I32) =>
    fn.call(functions.levels(encoding.kind === "sparse"), [from, ...numbers(groups, palette, bits, elements / groups), indices, target]);
  /** Leaves the indices, and gives where the values are. */
  const findNonZeros = (): I32 => {
    if (encoding.kind === "dense") {
      if (levels !== undefined) decode(levels, floats);
      fn.call(functions.compact(), [levels === undefined ? from : floats, i32.const(elements), indices, values]);
      return values;
    }
    const { count, gapBits } = encoding;
    fn.call(functions.indices(), [i32.add(from, i32.const(valuesBytes(levels, count))), ...numbers(count, gapBits), indices]);
    if (levels === undefined) return from;
    decode(levels, floats);
    return floats;
  };
  const expand = (target: I32) => {
    if (encoding.kind === "dense") return levels === undefined ? fn.copy(target, from, i32.const(elements * 4)) : decode(levels, target);
    const nonZeros = findNonZeros();
    fn.fill(target, i32.const(0), i32.const(elements * 4));
    fn.call(functions.scatter(), [nonZeros, indices, i32.const(encoding.count), target]);
  };
  const rowMajor = (): I32 => {
    if (encoding.kind === "dense" && levels === undefined) return from;
    expand(values);
    return values;
  };
  switch (spec.kind) {
    case "expand":
      return expand(to);
    case "pack":
      return fn.call(functions.pack(), [rowMajor(), to, ...numbers(spec.m, spec.depth, spec.filters)]);
    case "winograd":
      return fn.call(functions.winograd(spec), [rowMajor(), to, ...numbers(spec.m, spec.channels, spec.filters, spec.group)]);
    case "stream": {
      const nonZeros = findNonZeros();
      emitTable(fn, spec, table);
      const { length } = spec.taps;
      return fn.call(functions.rows(spec), [nonZeros, indices, table, to, ...numbers(streamRows(spec), streamPasses(spec), spec.channels * length, spec.pass * length)]);
    }
  }
}
