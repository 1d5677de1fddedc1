import { abi } from "../artifact/control.ts";
import { i32 } from "../codegen/wasm/code.ts";
import type { ModuleBuilder } from "../codegen/wasm/module.ts";
import type { Kernel } from "./kernels.ts";

/** Estimated cycles in one inference below which a kernel is not worth it: the calls take a tenth of a millisecond, and baseline code four times as long as optimized. */
const leastCycles = 400_000;

/** V8 compiles a function anew, with its optimizing compiler, once its baseline code has run through about so many bytes of itself. */
const budget = 13e6;
/** Bytes of baseline code a byte of WebAssembly, at least. */
const expansion = 2.4;

/**
 * Exports `warm`: calls of kernels that do nothing, but count. Engines optimize a function in the background once it was called often enough, and use the
 * new code from its next call on. A layer is one long call, so without this a first inference would run in baseline code from end to end, at a quarter of the
 * speed. Whatever takes longest comes first.
 */
export function emitWarm(builder: ModuleBuilder, kernels: Iterable<Kernel>): void {
  const hot = [...new Set(kernels)].filter((kernel) => kernel.cycles >= leastCycles).sort((a, b) => b.cycles - a.cycles);
  const warm = builder.function([], (fn) => {
    const left = fn.local("i32");
    for (const { ref, operands } of hot) {
      fn.set(left, i32.const(Math.ceil(budget / (expansion * builder.bodyBytes(ref)))));
      fn.doWhile(
        () => {
          fn.call(
            ref,
            Array.from({ length: operands + 2 }, () => i32.const(0)),
          );
          fn.set(left, i32.sub(left, i32.const(1)));
        },
        () => left,
      );
    }
  });
  builder.export(abi.warm, warm);
}
