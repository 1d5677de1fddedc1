import { type I32, i32 } from "../codegen/wasm/code.ts";
import type { FunctionBuilder, Local } from "../codegen/wasm/function.ts";
import { elementCount } from "../ir/types.ts";
import type { PrepareSpec, StoredConstant } from "../lower/kernel-graph.ts";
import { forEachNonZero } from "./non-zeros.ts";
import { emitStream, type StreamFunctions } from "./prepare-stream.ts";
import { emitWinograd } from "./prepare-winograd.ts";

/**
 * Body of one prepare function: walks a stored constant, dense or sparse, element by element, and writes what the kernel reads.
 * Runs once while loading. The free memory from `from` on has what `stagingOf` says.
 */
export function emitPrepare(fn: FunctionBuilder, constant: StoredConstant, spec: PrepareSpec, from: Local<"i32">, to: Local<"i32">, streams: StreamFunctions): void {
  const elements = elementCount(constant.shape);
  switch (spec.kind) {
    case "expand":
      if (constant.encoding.kind === "dense") return fn.copy(to, from, i32.const(elements * 4));
      fn.fill(to, i32.const(0), i32.const(elements * 4));
      return forEachNonZero(fn, constant, from, (index, value) => fn.storeI32(i32.add(to, i32.shl(index, i32.const(2))), value));
    case "pack":
      return emitPack(fn, constant, spec, from, to);
    case "stream":
      return emitStream(fn, constant, spec, from, to, streams);
    case "winograd":
      return emitWinograd(fn, constant, spec, from, to);
  }
}

/** [m][depth] → blocks of `filters` rows, within a block [depth][filters]; the last block has the rows that are left. */
function emitPack(fn: FunctionBuilder, constant: StoredConstant, spec: PrepareSpec & { kind: "pack" }, from: Local<"i32">, to: Local<"i32">): void {
  const { m, depth, filters } = spec;
  const rest = m % filters;
  const place = (row: I32, k: I32): I32 => {
    const block = fn.let(i32.divU(row, i32.const(filters)));
    const first = fn.let(i32.mul(block, i32.const(filters)));
    const width = rest === 0 ? i32.const(filters) : i32.select(i32.const(filters), i32.const(rest), i32.ltU(block, i32.const(Math.floor(m / filters))));
    return i32.add(to, i32.shl(i32.add(i32.add(i32.mul(first, i32.const(depth)), i32.mul(k, width)), i32.sub(row, first)), i32.const(2)));
  };
  if (constant.encoding.kind === "dense") {
    const row = fn.let(i32.const(0));
    const source = fn.let(from);
    fn.for(row, i32.const(m), 1, () => {
      const target = fn.let(place(row, i32.const(0)));
      const step = rest === 0 ? i32.const(4 * filters) : fn.let(i32.sub(place(row, i32.const(1)), place(row, i32.const(0))));
      const left = fn.let(i32.const(depth));
      fn.doWhile(
        () => {
          fn.storeI32(target, i32.load(source));
          fn.set(source, i32.add(source, i32.const(4)));
          fn.set(target, i32.add(target, step));
          fn.set(left, i32.sub(left, i32.const(1)));
        },
        () => left,
      );
    });
    return;
  }
  fn.fill(to, i32.const(0), i32.const(m * depth * 4));
  forEachNonZero(fn, constant, from, (index, value) => {
    const row = fn.let(i32.divU(index, i32.const(depth)));
    fn.storeI32(place(row, i32.sub(index, i32.mul(row, i32.const(depth)))), value);
  });
}
