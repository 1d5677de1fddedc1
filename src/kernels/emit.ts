import type { Target } from "../codegen/target.ts";
import { i32 } from "../codegen/wasm/code.ts";
import type { FunctionRef, Local } from "../codegen/wasm/function.ts";
import { i32Params, type ModuleBuilder } from "../codegen/wasm/module.ts";
import { invariant } from "../errors.ts";
import type { KernelTemplate } from "./kernel.ts";

/** Adds the function of one row of the table for a problem and choice: it takes the operands' addresses, then begin and end. An empty range does nothing. */
export function emitKernel<P, C>(builder: ModuleBuilder, target: Target, template: KernelTemplate<P, C>, problem: P, choice: C): FunctionRef {
  const names = template.operands(problem);
  return builder.function(i32Params(names.length + 2), (fn) => {
    const operands = new Map(names.map((name, i) => [name, fn.param(i)]));
    const operand = (name: string): Local<"i32"> => {
      const local = operands.get(name);
      invariant(local !== undefined, `${template.name} has no operand ${name}`);
      return local;
    };
    const [begin, end] = [fn.param(names.length), fn.param(names.length + 1)];
    fn.if(i32.ltS(begin, end), () => template.emit({ fn, target, operand, begin, end }, problem, choice));
  });
}
