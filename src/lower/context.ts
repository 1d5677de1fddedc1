import { encodeConstant } from "../artifact/constant-codec.ts";
import type { Target } from "../codegen/target.ts";
import { CadnnError, invariant } from "../errors.ts";
import { type ConstantValue, type Graph, type InputValue, type Node, type ParameterValue, useCounts, type Value } from "../ir/graph.ts";
import type { TensorData } from "../ir/types.ts";
import { elementCount } from "../ir/types.ts";
import type { Priced } from "../kernels/costs.ts";
import { type KernelTemplate, withoutSharedLoads } from "../kernels/kernel.ts";
import { type NestDim, sortDims } from "../kernels/nest.ts";
import { f32FromBytes } from "../kernels/wasm/f32-from-bytes.ts";
import { type CopyProblem, x32Copy } from "../kernels/wasm/x32-copy.ts";
import { x32Fill } from "../kernels/wasm/x32-fill.ts";
import type { Buffer, KernelCall, Place, PrepareSpec, PrepareTask, StoredConstant } from "./kernel-graph.ts";
import { batchInnermost, compactPlanes, interleavedRows, isSplit, type Layout, linear, samePlaces } from "./layout.ts";
import type { LowerOptions } from "./options.ts";
import { paddingRuns, phasesOf, whole } from "./phases.ts";
import type { SparseWeight } from "./sparse.ts";
import { isPointwise } from "./window-layout.ts";

/** A value in memory. */
export interface Placed extends Place {
  readonly layout: Layout;
}

/** Tells where a consumer would like to find a value. */
export type LayoutWish = (value: Value, lanes: number) => Layout | undefined;

/** Weights are encoded once, whatever the number of targets. */
const encoded = new WeakMap<TensorData, Pick<StoredConstant, "dtype" | "bytes" | "encoding">>();

const tables = new Map<string, ConstantValue>();

/** State of lowering one graph: which value lies where, and the calls so far. */
export class LoweringContext {
  readonly graph: Graph;
  readonly target: Target;
  readonly options: Required<LowerOptions>;
  readonly calls: KernelCall[] = [];
  readonly prepare: PrepareTask[] = [];
  readonly residents: Buffer[] = [];
  readonly uses: ReadonlyMap<Value, number>;
  readonly consumers = new Map<Value, Node[]>();
  /** The batch size if values with a batch keep it innermost, else 1. */
  readonly lanes: number;
  readonly #batched: ReadonlySet<Value>;
  readonly #bytes = new Map<Value, Place>();
  readonly #placed = new Map<Value, Placed[]>();
  readonly #deferred = new Map<Value, () => void>();
  /** Weights of which only the non-zeros are there, unless somebody asks for their place. */
  readonly sparse = new Map<Value, SparseWeight>();
  readonly #views = new Map<Value, Placed>();
  /** What 1×1 convolutions compute. */
  readonly #pointwise = new Set<Value>();
  readonly #stored = new Map<TensorData, StoredConstant>();
  readonly #prepared = new Map<StoredConstant, Map<string, Buffer>>();
  readonly #wish: LayoutWish;
  #bufferCount = 0;
  node = "";

  constructor(graph: Graph, target: Target, options: Required<LowerOptions>, batched: ReadonlySet<Value>, lanes: number, wish: LayoutWish) {
    this.graph = graph;
    this.target = target;
    this.options = options;
    this.lanes = lanes;
    this.uses = useCounts(graph);
    this.#batched = batched;
    this.#wish = wish;
    for (const node of graph.nodes) {
      if (isPointwise(node)) this.#pointwise.add(node.outputs[0] as Value);
      for (const v of new Set(node.inputs)) {
        if (v === undefined) continue;
        const list = this.consumers.get(v);
        if (list === undefined) this.consumers.set(v, [node]);
        else list.push(node);
      }
    }
  }

  isBatched(value: Value): boolean {
    return this.lanes > 1 && this.#batched.has(value);
  }

  lanesOf(value: Value): number {
    return this.isBatched(value) ? this.lanes : 1;
  }

  /** Without padding: planes, their rows interleaved, or the batch innermost. */
  compactLayout(value: Value): Layout {
    const { shape } = value.type;
    if (this.isBatched(value)) return batchInnermost(shape);
    if (value.type.dtype !== "float32" || !this.options.layout) return linear(shape);
    return this.#interleaves(value) ? interleavedRows(shape) : compactPlanes(shape);
  }

  /**
   * Whether a large value of whole vectors a row goes from a 1×1 convolution to others only, or to the slices that those of larger strides read: windows would rather have rows of a
   * plane beside each other.
   */
  #interleaves(value: Value): boolean {
    const { shape } = value.type;
    const consumers = this.consumers.get(value) ?? [];
    return (
      shape.length === 4 &&
      (shape[3] as number) % 4 === 0 &&
      4 * elementCount(shape) >= this.target.interleavedBytes &&
      this.#pointwise.has(value) &&
      consumers.length > 0 &&
      consumers.every((node) => isPointwise(node) || node.op === "Slice") &&
      this.graph.outputs.every((output) => output.value !== value)
    );
  }

  /** Where consumers of the value would like it; without a common wish, compact. */
  preferredLayout(value: Value): Layout {
    return this.#views.get(value)?.layout ?? this.#wish(value, this.lanesOf(value)) ?? this.compactLayout(value);
  }

  buffer(name: string, elements: number, region: Buffer["region"] = "arena"): Buffer {
    const buffer: Buffer = { id: this.#bufferCount++, name, bytes: elements * 4, region };
    if (region === "resident") this.residents.push(buffer);
    return buffer;
  }

  /** Says beforehand that a value is to be written into a part of another buffer. */
  setView(value: Value, placed: Placed): void {
    this.#views.set(value, placed);
  }

  viewOf(value: Value): Placed | undefined {
    return this.#views.get(value);
  }

  /** Space for a value that is about to be written; padding around planes is filled here. */
  write(value: Value, layout: Layout = this.preferredLayout(value)): Placed {
    const view = this.#views.get(value);
    if (view !== undefined && samePlaces(view.layout, layout, value.type.shape)) return this.place(value, view);
    const placed = this.place(value, { buffer: this.buffer(value.name, layout.size), offset: layout.base, layout });
    this.fillPadding(placed, value);
    return placed;
  }

  /** Records where a value lies. */
  place(value: Value, placed: Placed): Placed {
    const list = this.#placed.get(value);
    if (list === undefined) this.#placed.set(value, [placed]);
    else list.push(placed);
    return placed;
  }

  /** The value in the given layout; a copy is made if it has no such place yet. */
  read(value: Value, layout: Layout): Placed {
    const places = this.#placesOf(value);
    const found = places.find((p) => samePlaces(p.layout, layout, value.type.shape) && (layout.padding === undefined || sameLayoutPadding(p.layout, layout)));
    if (found !== undefined) return found;
    const source = places.find((p) => !isSplit(p.layout));
    invariant(source !== undefined, `${value.name} has no plain place`);
    const copy = this.place(value, { buffer: this.buffer(`${value.name}'`, layout.size), offset: layout.base, layout });
    this.fillPadding(copy, value);
    this.copyInto(value.type.shape, source, copy);
    return copy;
  }

  /** The value wherever it is, with affine strides. */
  readAny(value: Value): Placed {
    const places = this.#placesOf(value);
    const compact = this.compactLayout(value);
    const placed = places.find((p) => samePlaces(p.layout, compact, value.type.shape)) ?? places.find((p) => !isSplit(p.layout));
    invariant(placed !== undefined, `${value.name} has no plain place`);
    return placed;
  }

  /** Inputs lie row-major; those of unsigned bytes as bytes, which become elements if something other than `bytesOf` asks for them. */
  placeInput(value: InputValue): Place {
    const layout = linear(value.type.shape);
    const bytes = value.type.dtype === "uint8";
    const place = { buffer: this.buffer(value.name, bytes ? Math.ceil(layout.size / 4) : layout.size), offset: 0 };
    if (bytes) this.#bytes.set(value, place);
    else this.place(value, { ...place, layout });
    return place;
  }

  /** Where an input's bytes lie. */
  bytesOf(value: Value): Place | undefined {
    return this.#bytes.get(value);
  }

  /** Says how a value gets a place, once it is read. */
  defer(value: Value, place: () => void): void {
    this.#deferred.set(value, place);
  }

  has(value: Value): boolean {
    return this.#placed.has(value);
  }

  #placesOf(value: Value): readonly Placed[] {
    const places = this.#placed.get(value);
    if (places !== undefined) return places;
    if (value.kind === "constant") return [this.#placeConstant(value)];
    const deferred = this.#deferred.get(value);
    if (deferred !== undefined) {
      this.#deferred.delete(value);
      deferred();
      return this.#placesOf(value);
    }
    const bytes = this.#bytes.get(value);
    if (bytes !== undefined) return [this.#expandBytes(value, bytes)];
    throw new CadnnError("E_INTERNAL", `${value.name} is read before it is written`);
  }

  #expandBytes(value: Value, bytes: Place): Placed {
    const layout = linear(value.type.shape);
    const placed = this.place(value, { buffer: this.buffer(`${value.name}'`, layout.size), offset: 0, layout });
    const flat = { images: 1, rows: 1, columns: layout.size, imageBytes: 0, rowBytes: 0, pixelBytes: 1, outImage: 0, outPitch: 0 };
    if (layout.size > 0) this.call(f32FromBytes, { ...flat, planes: [{ first: 0, out: 0, gain: 1, shift: 0 }], output: "i32" }, [bytes, placed]);
    return placed;
  }

  #placeConstant(value: ConstantValue): Placed {
    const layout = linear(value.type.shape);
    return this.place(value, { buffer: this.weights(value, { kind: "expand" }, elementCount(value.type.shape) * 4), offset: 0, layout });
  }

  placeParameter(value: ParameterValue): Placed {
    const layout = linear(value.type.shape);
    const placed = { buffer: this.buffer(value.name, layout.size, "resident"), offset: 0, layout };
    this.prepare.push({ constant: this.stored(value.name, value.type.shape, value.data), spec: { kind: "expand" }, to: placed.buffer });
    return this.place(value, placed);
  }

  /** A resident buffer that holds a constant in the form that a kernel wants; made once for each form. */
  weights(value: ConstantValue, spec: PrepareSpec, bytes: number): Buffer {
    const constant = this.stored(value.name, value.type.shape, value.data);
    const forms = this.#prepared.get(constant) ?? new Map<string, Buffer>();
    this.#prepared.set(constant, forms);
    const key = JSON.stringify(spec);
    const known = forms.get(key);
    if (known !== undefined) return known;
    const buffer = this.buffer(value.name, Math.ceil(bytes / 4), "resident");
    this.prepare.push({ constant, spec, to: buffer });
    forms.set(key, buffer);
    return buffer;
  }

  /** A resident table of numbers; equal tables are one. */
  table(numbers: readonly number[], dtype: "float32" | "int32" = "int32"): Place {
    const key = `${dtype}(${numbers.map((v) => (Object.is(v, -0) ? "-0" : v)).join(",")})`;
    let value = tables.get(key);
    if (value === undefined) {
      value = { kind: "constant", name: key, type: { dtype, shape: [numbers.length] }, data: dtype === "int32" ? Int32Array.from(numbers) : Float32Array.from(numbers) };
      tables.set(key, value);
    }
    return { buffer: this.weights(value, { kind: "expand" }, numbers.length * 4), offset: 0 };
  }

  stored(name: string, shape: readonly number[], data: TensorData): StoredConstant {
    const known = this.#stored.get(data);
    if (known !== undefined) return known;
    const constant = { name, shape, ...(encoded.get(data) ?? encode(name, data, shape)) };
    this.#stored.set(data, constant);
    return constant;
  }

  /** The cheapest choice for the target. */
  best<P, C>(template: KernelTemplate<P, C>, problem: P): Priced<C> | undefined {
    const { costs, loadElimination } = this.options;
    return costs.best(loadElimination ? template : withoutSharedLoads(template), problem, this.target);
  }

  /** Adds a call with the best choice for the target. */
  call<P, C>(
    template: KernelTemplate<P, C>,
    problem: P,
    operands: readonly Place[],
    extra: Partial<Pick<KernelCall, "repeat" | "joins" | "macs">> & { readonly choice?: C } = {},
  ): void {
    const choice = extra.choice ?? this.best(template, problem)?.choice;
    invariant(choice !== undefined, `${template.name} has no choice for ${JSON.stringify(problem)}`);
    const names = template.operands(problem);
    invariant(operands.length === names.length, `${template.name} takes ${names.length} operands`);
    const scratch = operands[names.indexOf("scratch")];
    const { repeat, joins } = extra;
    this.calls.push({
      template: template as KernelTemplate,
      problem,
      choice,
      operands,
      node: this.node,
      macs: extra.macs ?? 0,
      ...(repeat === undefined || repeat.count === 1 ? {} : { repeat }),
      ...(joins === true ? { joins } : {}),
      ...(scratch === undefined ? {} : { scratch }),
    });
  }

  /** Copies a tensor between two affine layouts, or into the phases of a split one. */
  copyInto(shape: readonly number[], from: Placed, to: Placed, joins = true): void {
    for (const { problem, fromOffset, toOffset } of copiesOf(shape, from.layout, to.layout)) {
      const places = [
        { buffer: from.buffer, offset: from.offset + fromOffset },
        { buffer: to.buffer, offset: to.offset + toOffset },
      ];
      this.call(x32Copy, problem, places, { joins });
    }
  }

  /** What `copyInto` would cost. */
  copyCost(shape: readonly number[], from: Layout, to: Layout): number {
    return copiesOf(shape, from, to).reduce((sum, { problem }) => sum + (this.best(x32Copy, problem)?.cost ?? 0), 0);
  }

  /** Fills what lies around the planes of a padded value with the padding's value. */
  fillPadding({ buffer, layout }: Placed, { type: { shape } }: Value): void {
    if (layout.padding === undefined) return;
    const planes = layout.lanes === 1 ? (shape[0] as number) * (shape[1] as number) : (shape[1] as number);
    const problem = { planes, planeStride: layout.strides[1] as number, runs: paddingRuns(shape, layout), value: layout.padding.value };
    this.call(x32Fill, problem, [{ buffer, offset: 0 }], { joins: true });
  }
}

/** The copies that bring a tensor from one layout to another, and where in the buffers each begins. */
function copiesOf(shape: readonly number[], from: Layout, to: Layout): { readonly problem: CopyProblem; readonly fromOffset: number; readonly toOffset: number }[] {
  if (elementCount(shape) === 0) return [];
  return (isSplit(to) ? phasesOf(shape, to) : [whole(shape)])
    .filter((part) => elementCount(part.shape) > 0)
    .map((part) => {
      const dims = part.shape.map((size, i): NestDim => ({ size, strides: [(from.strides[i] as number) * (part.steps[i] as number), to.strides[i] as number] }));
      const fromOffset = part.first.reduce((sum, at, i) => sum + at * (from.strides[i] as number), 0);
      return { problem: { dims: sortDims(dims) }, fromOffset, toOffset: part.offset };
    });
}

function encode(name: string, data: TensorData, shape: readonly number[]): Pick<StoredConstant, "dtype" | "bytes" | "encoding"> {
  const dtype = data instanceof Float32Array ? "float32" : "int32";
  const elements = data instanceof Float32Array || data instanceof Int32Array ? data : Int32Array.from(data as ArrayLike<number | bigint>, (v) => narrowed(name, v));
  const result = { dtype, ...encodeConstant(elements, dtype, shape) } as const;
  encoded.set(data, result);
  return result;
}

function narrowed(name: string, value: number | bigint): number {
  const number = Number(value);
  if (number === (number | 0)) return number;
  throw new CadnnError("E_UNSUPPORTED_TYPE", `constant ${name} holds ${value}, which does not fit 32 bits`, {
    at: name,
    hint: "Generated code keeps int64 as 32 bits: scale the numbers down.",
  });
}

const sameLayoutPadding = (a: Layout, b: Layout): boolean => JSON.stringify(a.padding) === JSON.stringify(b.padding);
