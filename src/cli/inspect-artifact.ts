import type { Artifact } from "../artifact/format.ts";
import type { ModuleRecord } from "../artifact/manifest.ts";
import { memoryBytes } from "../artifact/validate.ts";
import type { Report } from "./command.ts";
import { formatBytes, formatCount, formatPercent } from "./format.ts";
import { readTarget } from "./model.ts";
import { usage } from "./options.ts";
import { formatPairs, formatTable } from "./table.ts";

/** Sections, modules, constants and the kernel calls of one module. */
export function inspectArtifact({ manifest, weights, code }: Artifact, file: Uint8Array, target: string | undefined): Report {
  const wanted = target === undefined ? manifest.modules[0]?.target : readTarget(target);
  const module = manifest.modules.find((m) => m.target === wanted);
  if (module === undefined) throw usage(`the file has no module ${wanted}`, "--target", `It has: ${manifest.modules.map((m) => m.target).join(", ")}.`);
  const manifestBytes = file.length - weights.length - code.length;
  const constants = manifest.constants.map((c) => ({ name: c.name, dtype: c.dtype, shape: c.shape, encoding: c.encoding.kind, bytes: c.bytes, denseBytes: memoryBytes(c) }));
  const denseBytes = constants.reduce((sum, c) => sum + c.denseBytes, 0);
  const text = [
    formatPairs([
      ["net", manifest.name],
      ["producer", manifest.producer],
      ["inputs", manifest.inputs.map((i) => `${i.name} ${i.dtype} ${i.shape.join("×")}`).join(", ")],
      ["outputs", manifest.outputs.map((o) => `${o.name} ${o.dtype} ${o.shape.join("×")}`).join(", ")],
      ["file", `${formatBytes(file.length)}: weights ${formatBytes(weights.length)}, code ${formatBytes(code.length)}, manifest and header ${formatBytes(manifestBytes)}`],
      ["weights", `${constants.length} constants, ${formatPercent(denseBytes === 0 ? 1 : weights.length / denseBytes)} of their dense size ${formatBytes(denseBytes)}`],
    ]),
    formatTable(
      [{ title: "module" }, { title: "code", align: "right" }, { title: "memory", align: "right" }, { title: "kernel calls", align: "right" }],
      manifest.modules.map((m) => [m.target, formatBytes(m.bytes), formatBytes(m.pages * 65536), m.steps.length]),
    ),
    formatTable(
      [{ title: "constant" }, { title: "type" }, { title: "encoding" }, { title: "bytes", align: "right" }, { title: "of dense", align: "right" }],
      constants.map((c) => [c.name, `${c.dtype} ${c.shape.join("×")}`, c.encoding, formatBytes(c.bytes), formatPercent(c.denseBytes === 0 ? 1 : c.bytes / c.denseBytes)]),
    ),
    formatTable(
      [{ title: "kernel" }, { title: "calls", align: "right" }, { title: "MACs", align: "right" }],
      kernelsOf(module).map((k) => [k.kernel, k.calls, k.macs === 0 ? "" : formatCount(k.macs)]),
    ),
    formatTable(
      [{ title: "node" }, { title: "kernel" }, { title: "MACs", align: "right" }],
      module.steps.map((s) => [s.node, s.kernel, s.macs === 0 ? "" : formatCount(s.macs)]),
    ),
  ].join("\n\n");
  const modules = manifest.modules.map((m) => ({ target: m.target, bytes: m.bytes, memoryBytes: m.pages * 65536, parameters: m.parameters, steps: m.steps }));
  const sections = { manifest: manifestBytes, weights: weights.length, code: code.length };
  const json = {
    kind: "cadnn",
    name: manifest.name,
    producer: manifest.producer,
    bytes: file.length,
    sections,
    inputs: manifest.inputs,
    outputs: manifest.outputs,
    modules,
    constants,
  };
  return { text, json };
}

function kernelsOf(module: ModuleRecord): { readonly kernel: string; readonly calls: number; readonly macs: number }[] {
  const kernels = new Map<string, { calls: number; macs: number }>();
  for (const { kernel, macs } of module.steps) {
    const entry = kernels.get(kernel) ?? { calls: 0, macs: 0 };
    kernels.set(kernel, { calls: entry.calls + 1, macs: entry.macs + macs });
  }
  return [...kernels].map(([kernel, sums]) => ({ kernel, ...sums })).sort((a, b) => b.macs - a.macs || b.calls - a.calls);
}
