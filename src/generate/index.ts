import { abi } from "../artifact/control.ts";
import type { ModuleRecord } from "../artifact/manifest.ts";
import { i32 } from "../codegen/wasm/code.ts";
import type { FunctionRef, Local } from "../codegen/wasm/function.ts";
import { i32Params, ModuleBuilder } from "../codegen/wasm/module.ts";
import { CadnnError, invariant } from "../errors.ts";
import type { KernelGraph, Place, StoredConstant } from "../lower/kernel-graph.ts";
import { emitKernels } from "./kernels.ts";
import { emitPrepare, prepareFunctions } from "./prepare.ts";
import { emitRun } from "./run.ts";
import { emitWarm } from "./warm.ts";

/** One module and how to drive it; offsets into an artifact's sections come when it is packed. */
export interface Executable {
  readonly module: Uint8Array;
  readonly record: Omit<ModuleRecord, "offset" | "bytes" | "prepare">;
  readonly prepare: readonly { readonly constant: StoredConstant; readonly staging: number }[];
}

const pageBytes = 65536;

/** Generates the WebAssembly module that runs a kernel graph. */
export function generate(graph: KernelGraph): Executable {
  const { memory } = graph;
  const pages = Math.ceil(memory.bytes / pageBytes);
  if (pages > 65536)
    throw new CadnnError("E_OUT_OF_MEMORY", `${graph.name} needs ${(memory.bytes / 2 ** 30).toFixed(1)} GiB, WebAssembly has 4`, {
      at: graph.name,
      hint: "Use a smaller batch or input.",
    });
  const builder = new ModuleBuilder();
  const address = ({ buffer, offset }: Place): number => {
    const start = memory.addresses.get(buffer);
    invariant(start !== undefined, `buffer ${buffer.name} has no address`);
    return start + offset * 4;
  };
  emitPrepareExport(builder, graph, address);
  const kernels = emitKernels(builder, graph);
  emitRun(builder, graph, kernels, address);
  emitWarm(builder, kernels.values());
  const { bytes, sharedFlagOffset } = builder.finish({ import: abi.memory, pages });
  return {
    module: bytes,
    record: {
      target: graph.target.name,
      sharedFlagOffset,
      pages,
      inputOffsets: graph.inputs.map((p) => address(p.place)),
      outputOffsets: graph.outputs.map((p) => address(p.place)),
      parameters: graph.parameters.map((p) => ({ name: p.name, dtype: p.dtype, shape: p.shape, offset: address(p.place) })),
      steps: graph.calls.map((c) => ({ node: c.node, kernel: c.template.name, macs: c.macs })),
    },
    prepare: graph.prepare.map((task) => ({ constant: task.constant, staging: memory.staging })),
  };
}

/** `prepare(index)`: equal work on different weights is one function. */
function emitPrepareExport(builder: ModuleBuilder, graph: KernelGraph, address: (place: Place) => number): void {
  const bodies = new Map<string, FunctionRef>();
  const functions = prepareFunctions(builder);
  const calls = graph.prepare.map(({ constant, spec, to }) => {
    const key = JSON.stringify([spec, constant.encoding, constant.shape.reduce((n, d) => n * d, 1)]);
    let body = bodies.get(key);
    if (body === undefined) {
      body = builder.function(i32Params(2), (fn, from, target) => emitPrepare(fn, constant, spec, from as Local<"i32">, target as Local<"i32">, functions));
      bodies.set(key, body);
    }
    return { body, to: address({ buffer: to, offset: 0 }) };
  });
  const prepare = builder.function(i32Params(1), (fn, index) =>
    fn.switch(
      index as Local<"i32">,
      calls.map((c) => () => fn.call(c.body, [i32.const(graph.memory.staging), i32.const(c.to)])),
    ),
  );
  builder.export(abi.prepare, prepare);
}
