import type { KernelTemplate } from "./kernel.ts";
import { f32Arg } from "./wasm/f32-arg.ts";
import { f32Correlate } from "./wasm/f32-correlate.ts";
import { f32CorrelateAt } from "./wasm/f32-correlate-at.ts";
import { f32FromBytes } from "./wasm/f32-from-bytes.ts";
import { f32Gemm } from "./wasm/f32-gemm.ts";
import { f32Map } from "./wasm/f32-map.ts";
import { f32Matvec } from "./wasm/f32-matvec.ts";
import { f32MaxPoolGrad } from "./wasm/f32-max-pool-grad.ts";
import { f32Reduce } from "./wasm/f32-reduce.ts";
import { f32Spmm } from "./wasm/f32-spmm.ts";
import { f32Spmv } from "./wasm/f32-spmv.ts";
import { f32SumParts } from "./wasm/f32-sum-parts.ts";
import { f32Window } from "./wasm/f32-window.ts";
import { f32Winograd } from "./wasm/f32-winograd.ts";
import { x32Copy } from "./wasm/x32-copy.ts";
import { x32Fill } from "./wasm/x32-fill.ts";
import { x32Gather } from "./wasm/x32-gather.ts";
import { x32Scatter } from "./wasm/x32-scatter.ts";

/** Every kernel there is. Lowering, tests, benchmarks and documentation walk these rows. */
export const kernelTable: readonly KernelTemplate[] = [
  f32Gemm,
  f32Spmm,
  f32Winograd,
  f32Window,
  f32Matvec,
  f32Spmv,
  f32Map,
  f32Reduce,
  f32Arg,
  f32Correlate,
  f32CorrelateAt,
  f32SumParts,
  f32MaxPoolGrad,
  f32FromBytes,
  x32Copy,
  x32Fill,
  x32Gather,
  x32Scatter,
] as readonly KernelTemplate[];
