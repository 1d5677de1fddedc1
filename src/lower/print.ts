import type { Activation } from "../ir/activation.ts";
import { type Expr, formatExpr } from "../ir/expr.ts";
import { formatActivation } from "../ir/print.ts";
import { formatType } from "../ir/types.ts";
import type { KernelCall, KernelGraph, Place, Port, PrepareTask } from "./kernel-graph.ts";

/**
 * A stable text form of a kernel graph: ports, how weights are prepared, then one line a call. Places are written `name@address` with the
 * byte address of the buffer, and `+n` for n elements into it; `×n` repeats a call with every operand moved on.
 *
 * ```text
 * kernels of lenet5 for wasm-x64-relaxed: 1724 kB, 37 kB of them for values that pass
 *   input x: float32[1, 1, 28, 28] at x@1730048
 *   prepare w@512 = pack {m: 20, depth: 25, filters: 4} of w: dense
 *   conv1: y@1733248 = f32-gemm(x@1730048, w@512) {m: 20, …} by {filters: 4, …}
 *   output logits: float32[1, 10] at y@1733248
 * ```
 */
export function printKernelGraph(graph: KernelGraph): string {
  const { memory } = graph;
  const place = ({ buffer, offset }: Place) => `${buffer.name}@${memory.addresses.get(buffer)}${offset === 0 ? "" : `+${offset}`}`;
  const port = ({ name, place: at, ...type }: Port) => `${name}: ${formatType(type)} at ${place(at)}`;
  const prepare = ({ constant, spec: { kind, ...rest }, to }: PrepareTask) =>
    `prepare ${place({ buffer: to, offset: 0 })} = ${[kind, ...(Object.keys(rest).length > 0 ? [format(rest)] : [])].join(" ")} of ${constant.name}: ${constant.encoding.kind}`;
  return `${[
    `kernels of ${graph.name} for ${graph.target.name}: ${kilobytes(memory.bytes)}, ${kilobytes(memory.arenaBytes)} of them for values that pass`,
    ...[
      ...graph.inputs.map((p) => `input ${port(p)}`),
      ...graph.parameters.map((p) => `parameter ${port(p)}`),
      ...graph.prepare.map(prepare),
      ...graph.calls.map((call) => formatCall(call, place)),
      ...graph.outputs.map((p) => `output ${port(p)}`),
    ].map((line) => `  ${line}`),
  ].join("\n")}\n`;
}

const kilobytes = (bytes: number): string => `${Math.ceil(bytes / 1000)} kB`;

function formatCall({ template, problem, choice, operands, repeat, joins, node }: KernelCall, place: (place: Place) => string): string {
  const [output, inputs] = [operands.at(-1) as Place, operands.slice(0, -1)];
  const times = repeat === undefined ? "" : ` ×${repeat.count} by ${format(repeat.strides)}`;
  const how = format(choice) === "{}" ? "" : ` by ${format(choice)}`;
  return `${node}: ${place(output)} ${joins === true ? "⊃" : "="} ${template.name}(${inputs.map(place).join(", ")})${times} ${format(problem)}${how}`;
}

/** Expressions and activations as such, everything else as `{name: value, …}`. */
function format(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(format).join(", ")}]`;
  if (typeof value !== "object" || value === null) return String(value);
  const kind = (value as { kind?: unknown }).kind;
  if (typeof kind === "string" && ["input", "number", "unary", "binary", "select"].includes(kind)) return formatExpr(value as Expr);
  if (kind === "none" || kind === "clamp" || kind === "expr") return formatActivation(value as Activation);
  const entries = Object.entries(value).filter(([, v]) => v !== undefined);
  return `{${entries.map(([name, v]) => `${name}: ${format(v)}`).join(", ")}}`;
}
