import { abi, control } from "../../src/artifact/control.ts";
import { placeBarriers } from "../../src/generate/barriers.ts";
import { generate } from "../../src/generate/index.ts";
import { elementCount, type Tensor } from "../../src/ir/types.ts";
import type { KernelGraph, Port } from "../../src/lower/kernel-graph.ts";
import { enableRelaxedSimd } from "../../src/node/engine.ts";
import { memoryForm, resultOf } from "../../src/runtime/tensors.ts";

enableRelaxedSimd();

/** A quiet NaN that fills memory: what reads a place that nobody wrote shows it. */
const poison = 0x7fc5a5a5;

/** In which order threads do their parts of the calls between two barriers. */
export type Order = "call by call" | "first thread first" | "last thread first";
export const orders: readonly Order[] = ["call by call", "first thread first", "last thread first"];

/**
 * Runs a kernel graph with every number of threads on one: between barriers, whole threads run one after the other in either order, so that
 * any two parts that a barrier should keep apart are run both ways round. Each thread finds the others' shares taken, and does its own.
 */
export class Machine {
  readonly #graph: KernelGraph;
  readonly #memory: WebAssembly.Memory;
  readonly #exported: (step: number, thread: number, threads: number) => void;
  readonly #segments: readonly (readonly number[])[];

  constructor(graph: KernelGraph) {
    const { module, record, prepare } = generate(graph);
    this.#graph = graph;
    this.#memory = new WebAssembly.Memory({ initial: record.pages, maximum: record.pages });
    new Int32Array(this.#memory.buffer).fill(poison).fill(0, 0, control.bytes >> 2);
    const code = module.slice();
    code[record.sharedFlagOffset] = 1;
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(code), { [abi.memory[0]]: { [abi.memory[1]]: this.#memory } });
    prepare.forEach(({ constant, staging }, i) => {
      new Uint8Array(this.#memory.buffer).set(constant.bytes, staging);
      (exports[abi.prepare] as (index: number) => void)(i);
    });
    this.#exported = exports[abi.runStep] as (step: number, thread: number, threads: number) => void;
    const barriers = placeBarriers(graph.calls, graph.memory);
    const segments: number[][] = [];
    for (const step of graph.calls.keys()) {
      if (step === 0 || barriers[step]) segments.push([step]);
      else segments.at(-1)?.push(step);
    }
    this.#segments = segments;
  }

  /** Outputs, and parameters as the run leaves them. */
  run(feeds: Readonly<Record<string, Tensor>>, threads = 1, order: Order = "call by call"): Map<string, Tensor> {
    const bytes = new Uint8Array(this.#memory.buffer);
    const { memory, inputs, outputs, parameters } = this.#graph;
    const at = ({ place }: Port) => (memory.addresses.get(place.buffer) as number) + 4 * place.offset;
    new Int32Array(this.#memory.buffer, memory.staging).fill(poison);
    for (const port of inputs) {
      const data = memoryForm(port, (feeds[port.name] as Tensor).data, false);
      bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at(port));
    }
    const everyone = Array.from({ length: threads }, (_, t) => (order === "last thread first" ? threads - 1 - t : t));
    for (const segment of this.#segments)
      if (order === "call by call") for (const step of segment) for (const thread of everyone) this.#runStep(step, thread, threads);
      else for (const thread of everyone) for (const step of segment) this.#runStep(step, thread, threads);
    return new Map([...outputs, ...parameters].map((port) => [port.name, resultOf(port, bytes.slice(at(port), at(port) + 4 * elementCount(port.shape)).buffer) as Tensor]));
  }
  #runStep(step: number, thread: number, threads: number): void {
    const words = new Int32Array(this.#memory.buffer);
    for (let t = 0; t < threads; t++) words[(control.records + t * control.recordBytes + control.queue + 4) >> 2] = t === thread ? step - 1 : step + 1;
    this.#exported(step, thread, threads);
  }
}
