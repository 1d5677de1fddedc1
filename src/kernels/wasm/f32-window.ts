import { foldsOffset, type Target } from "../../codegen/target.ts";
import { f32x4, type I32, i32, i32x4, type V128, v128 } from "../../codegen/wasm/code.ts";
import type { FunctionBuilder, Local } from "../../codegen/wasm/function.ts";
import type { Activation } from "../../ir/activation.ts";
import { defineKernel, type EmitContext } from "../kernel.ts";
import { type Region, registersOf, type Tile, tileFits, tilesOf, vectorOffsets } from "../region.ts";
import { emitActivation, madd, maxOrNaN } from "../vector-math.ts";
import {
  type Border,
  lanesInside,
  type Need,
  needsOf,
  planVectors,
  rowInside,
  type Sliding,
  schedule,
  tileRuns,
  type Use,
  type VectorPlan,
  type VectorStep,
} from "../window-tile.ts";

/**
 * y[c, p] = act(bias[c] + Σ_t w[c, t] · x[c, p + tap t] + residual[c, p]) (depthwise convolution), max_t x[c, p + tap t] (max pooling, NaN wins),
 * or scale · Σ_t x[c, p + tap t] (sum pooling). Each loaded vector serves all output rows of the tile that need it; with `rowTaps` the rows of a window are put together first, and
 * then its columns. Where the input has no padding in memory, tiles at its border leave out rows and mask lanes that are outside.
 */
export interface WindowProblem {
  readonly kind: "depthwise" | "max" | "sum";
  readonly channels: number;
  /** Input planes a channel of output apart; output planes apart. */
  readonly inStride: number;
  readonly outStride: number;
  /** Row by row, from where the first window begins, which may be outside of the input. */
  readonly taps: readonly number[];
  /** Taps a row, for pooling that puts rows together first. */
  readonly rowTaps?: number;
  /** `inPitch` is the distance of the input rows that neighbouring output rows start at: the plane's pitch times the vertical stride. */
  readonly region: Region;
  /** Horizontal stride, 1 or 2. */
  readonly columnStep: 1 | 2;
  /** Absent where all that taps read is in memory. */
  readonly border?: Border;
  /** Factor of sum pooling. */
  readonly scale: number;
  /** Depthwise: output channels for each input channel. */
  readonly multiplier: number;
  readonly bias: boolean;
  readonly residual: boolean;
  readonly activation: Activation;
}

export interface WindowChoice {
  readonly tile: Tile;
  /** Vectors that are there before their turn. */
  readonly ahead: number;
  /** Whether each element of a row is loaded once and shifted into its place by shuffles, or vectors are loaded from wherever they start. */
  readonly shifts: boolean;
}

export const f32Window = defineKernel<WindowProblem, WindowChoice>({
  name: "f32-window",
  backend: "wasm",
  operands: (p) => ["x", ...(p.kind === "depthwise" ? ["w"] : []), ...(p.bias ? ["bias"] : []), ...(p.residual ? ["residual"] : []), "y"],
  choices: (p, target) =>
    tileCandidates
      .filter((tile) => tileFits(p.region, tile))
      .flatMap((tile) => (target.inOrder ? [2, 4] : [0]).flatMap((ahead) => [false, true].map((shifts) => ({ tile, ahead, shifts })))),
  cost(p, choice, target) {
    const { tile } = choice;
    const parts = partsOf(p, choice, Math.min(tile.rows, p.region.h - tile.rows), Math.min(4 * tile.vectors, p.region.w - 4 * tile.vectors));
    const plans = parts.map(({ needs }) => planVectors(needs, p.columnStep, choice.shifts).steps);
    const vectors = registersOf(tile, target);
    const merged = vectors / (tile.rows * tile.vectors);
    const made = plans.map((steps) => steps.filter((step) => "load" in step).length * merged);
    const loads = parts.reduce((sum, { lines }, i) => sum + lines.length * (made[i] as number), 0);
    const shuffles = plans.reduce((sum, steps, i) => sum + steps.length * merged - (made[i] as number), 0);
    // Each vector of a line is put together out of its rows, each sum out of its columns.
    const combined = p.rowTaps === undefined ? vectors * p.taps.length : loads - made.reduce((a, b) => a + b, 0) + vectors * (p.rowTaps - 1);
    const combines = combined * (p.kind === "max" && target.pseudoMinMax ? 3 : 1);
    const resident = p.kind === "depthwise" ? p.taps.length : 0;
    // An engine that places loads first lets as many loads run ahead as there are more of them than links in each accumulator's chain.
    const ahead = target.loadsFirst ? Math.max(2, loads - p.taps.length) : 2;
    // Weights without a register are loaded for each use.
    const reloads = Math.min(resident, Math.max(0, resident + vectors + ahead - target.vectorRegisters)) * vectors;
    const rowsIn = new Set(parts.flatMap(({ needs, lines, input }) => needs.flatMap((need) => lines.map((line) => input + need.line + line)))).size;
    const lines = (rowsIn * p.columnStep + tile.rows) * tile.vectors * 16;
    // Where a plane does not fit the first-level cache, more rows at once than the processor fetches ahead make each tile wait.
    const streams = 4 * p.inStride > target.l1Bytes ? Math.max(0, rowsIn + tile.rows - 9) : 0;
    const work = Math.max(0.5 * (combines + 0.7 * shuffles), 0.5 * (loads + reloads));
    // Waiting for what is not there yet, by counts of instructions: the mean of processors that execute in order and of others that do not.
    const ordered = (target.fma ? 0.56 : 1.1) * combined + 0.66 * shuffles + 0.15 * loads + 1.2 * vectors + 0.1 * choice.ahead + 9;
    if (target.inOrder) return p.channels * (tilesOf(p.region, tile).count * (ordered + 0.5 * reloads) + 20);
    const perTile = work + 0.15 * loads + lines / 45 + 3.5 * streams + 3;
    return p.channels * (tilesOf(p.region, tile).count * perTile + 20);
  },
  reuse(p, { tile }) {
    const rows = Math.ceil((Math.max(...p.taps) - Math.min(...p.taps)) / Math.max(1, p.region.inPitch) + tile.rows);
    return { walks: 1, tile: 4 * rows * Math.max(p.region.inPitch, p.region.w), scattered: 0 };
  },
  sharesLoads: (_, { tile }) => tile.rows > 1,
  items: (p) => p.channels,
  emit(context, p, choice) {
    const { fn, operand, begin, end } = context;
    const channel = fn.let(begin);
    const w = p.kind === "depthwise" ? fn.let(i32.add(operand("w"), i32.mul(begin, i32.const(4 * p.taps.length)))) : undefined;
    const inPlane = fn.local("i32");
    const outPlane = fn.let(i32.mul(begin, i32.const(4 * p.outStride)));
    const weights = w === undefined ? [] : fn.locals("v128", p.taps.length);
    const bias = fn.local("v128");
    const masks = new Map([...masksOf(p, choice.tile)].map((lanes) => [lanes, fn.let(v128.constI32x4(laneBits(lanes)))]));
    fn.for(channel, end, 1, () => {
      const source = p.multiplier === 1 ? channel : i32.divU(channel, i32.const(p.multiplier));
      fn.set(inPlane, i32.add(operand("x"), i32.mul(source, i32.const(4 * p.inStride))));
      if (w !== undefined) {
        weights.forEach((l, t) => fn.set(l, v128.load32Splat(w, 4 * t)));
        fn.set(w, i32.add(w, i32.const(4 * p.taps.length)));
      }
      if (p.bias) fn.set(bias, v128.load32Splat(i32.add(operand("bias"), i32.shl(channel, i32.const(2)))));
      emitPlane(fn, p, choice.tile, inPlane, outPlane, (row, column, input, output) => {
        const maskOf = typeof column === "number" ? ({ mask }: Need) => masks.get(mask as number) as Local<"v128"> : movingMasks(fn, p, column.first);
        const parts = partsOf(p, choice, row, typeof column === "number" ? column : column.starts);
        emitTile(context, p, choice, parts, { weights, bias, maskOf }, input, output);
      });
      fn.set(outPlane, i32.add(outPlane, i32.const(4 * p.outStride)));
    });
  },
});

const tileCandidates: readonly Tile[] = [
  { rows: 4, vectors: 1 },
  { rows: 4, vectors: 2 },
  { rows: 2, vectors: 2 },
  { rows: 7, vectors: 1 },
  { rows: 2, vectors: 1 },
  { rows: 7, vectors: 2 },
  { rows: 1, vectors: 1 },
];

const slidingOf = (p: WindowProblem): Sliding => ({ taps: p.taps, inPitch: p.region.inPitch, columnStep: p.columnStep, border: p.border });

/** A part of a tile whose vectors are made together. */
interface Part {
  readonly needs: readonly Need[];
  /** Rows whose combination stands for a loaded vector, in elements from where it is loaded. */
  readonly lines: readonly number[];
  /** Elements from the tile's first input to the part's, and its first accumulator. */
  readonly input: number;
  readonly accumulator: number;
}

/** The parts of a tile at an output row and column (or at all of some columns): all at once, or with `rowTaps` each row by itself. */
function partsOf(p: WindowProblem, { tile, ahead }: WindowChoice, row: number, column: number | readonly number[]): Part[] {
  const sliding = slidingOf(p);
  if (p.rowTaps === undefined) return [{ needs: needsOf(sliding, tile, row, column, ahead > 0), lines: [0], input: 0, accumulator: 0 }];
  const first = p.taps.slice(0, p.rowTaps);
  // The rows are put together already: what is left is a window of one row, inside of a plane of one row.
  const border = p.border && { ...p.border, rows: 1, top: 0, rowStep: 0, taps: p.border.taps.slice(0, first.length).map(([, x]) => [0, x] as const) };
  const needs = needsOf({ ...sliding, taps: first, border }, { rows: 1, vectors: tile.vectors }, 0, column, ahead > 0);
  return Array.from({ length: tile.rows }, (_, r) => {
    const lines = p.taps.filter((_, t) => t % first.length === 0 && rowInside(sliding, row + r, t)).map((tap) => tap - (first[0] as number));
    return { needs: lines.length === 0 ? [] : needs, lines, input: r * p.region.inPitch, accumulator: r * tile.vectors };
  });
}

const rowKind = (p: WindowProblem, tile: Tile) => (start: number) =>
  Array.from({ length: tile.rows }, (_, r) => p.taps.map((_, t) => (rowInside(slidingOf(p), start + r, t) ? 1 : 0)).join("")).join();
const columnKind = (p: WindowProblem, tile: Tile) => (start: number) =>
  Array.from({ length: tile.vectors }, (_, v) => p.taps.map((_, t) => lanesInside(slidingOf(p), start, v, t)).join()).join();

/** The masks that tiles of the problem need, none of which is full or empty. */
function masksOf(p: WindowProblem, tile: Tile): Set<number> {
  const masks = new Set<number>();
  for (const run of tileRuns(p.region.w, 4 * tile.vectors, columnKind(p, tile)))
    for (let v = 0; v < tile.vectors; v++) p.taps.forEach((_, t) => masks.add(lanesInside(slidingOf(p), run.first, v, t)));
  masks.delete(0);
  masks.delete(15);
  return masks;
}

const laneBits = (lanes: number) => [0, 1, 2, 3].map((l) => ((lanes >> l) & 1 ? -1 : 0)) as [number, number, number, number];

/** Masks that are computed for the tile that begins in output column `first`. */
function movingMasks(fn: FunctionBuilder, p: WindowProblem, first: Local<"i32">): (need: Need) => Local<"v128"> {
  const masks = new Map<number, Local<"v128">>();
  const { left, columns } = p.border as Border;
  const step = p.columnStep;
  let base: Local<"v128"> | undefined;
  return ({ column }) => {
    base ??= fn.let(i32x4.splat(step === 1 ? first : i32.mul(first, i32.const(step))));
    const lanes = [0, 1, 2, 3].map((l) => column - left + l * step) as [number, number, number, number];
    const mask = masks.get(column) ?? fn.let(i32x4.ltU(i32x4.add(base, v128.constI32x4(lanes)), v128.constI32(columns)));
    masks.set(column, mask);
    return mask;
  };
}

/** Output column of a tile: known, or one of some that a local holds. */
type Column = number | { readonly first: Local<"i32">; readonly starts: readonly number[] };

/** Rows of tiles from which on the border's are few: then they need not be fast, and one piece of code serves all their tiles. */
const manyRows = 5;

/** Walks the tiles of a plane; `body` gets output row and column of one such tile, and the addresses of its first input and output. */
function emitPlane(
  fn: FunctionBuilder,
  p: WindowProblem,
  tile: Tile,
  inPlane: Local<"i32">,
  outPlane: Local<"i32">,
  body: (row: number, column: Column, input: Address, output: Address) => void,
): void {
  const { region, columnStep } = p;
  const width = 4 * tile.vectors;
  const columns = tileRuns(region.w, width, columnKind(p, tile));
  const anywhere = (row: number, input: Local<"i32">, inOffset: number, output: Local<"i32">, outOffset: number) => {
    const first = fn.let(i32.const(0));
    const starts = columns.flatMap((run) => Array.from({ length: run.count }, (_, i) => Math.min(run.first + i * width, region.w - width)));
    const [x, y] = [fn.local("i32"), fn.local("i32")];
    const last = i32.const(region.w - width);
    fn.doWhile(
      () => {
        fn.set(x, i32.add(input, i32.shl(first, i32.const(columnStep === 1 ? 2 : 3))));
        fn.set(y, i32.add(output, i32.shl(first, i32.const(2))));
        body(row, { first, starts }, { base: x, offset: inOffset }, { base: y, offset: outOffset });
        fn.set(x, first);
        fn.set(first, i32.add(first, i32.const(width)));
        if (region.w % width !== 0) fn.if(i32.gtS(first, last), () => fn.if(i32.ltS(x, last), () => fn.set(first, last)));
      },
      () => i32.leS(first, last),
    );
  };
  const compact = p.kind !== "depthwise" && columns.length > 1;
  const line = (row: number, input: Local<"i32">, inOffset: number, output: Local<"i32">, outOffset: number) => {
    for (const run of columns) {
      const at = { input: inOffset + 4 * columnStep * run.first, output: outOffset + 4 * run.first };
      if (run.count === 1) {
        body(row, run.first, { base: input, offset: at.input }, { base: output, offset: at.output });
        continue;
      }
      const [x, y] = [fn.let(i32.add(input, i32.const(at.input))), fn.let(i32.add(output, i32.const(at.output)))];
      const stop = fn.let(i32.add(y, i32.const(4 * width * (run.clamped ? run.count - 1 : run.count))));
      fn.doWhile(
        () => {
          body(row, run.first, { base: x, offset: 0 }, { base: y, offset: 0 });
          fn.set(x, i32.add(x, i32.const(4 * columnStep * width)));
          fn.set(y, i32.add(y, i32.const(4 * width)));
        },
        () => i32.ltU(y, stop),
      );
      if (!run.clamped) continue;
      const back = run.first + width * (run.count - 1) - (region.w - width);
      body(row, run.first, { base: x, offset: -4 * columnStep * back }, { base: y, offset: -4 * back });
    }
  };
  const rows = tileRuns(region.h, tile.rows, rowKind(p, tile));
  const edges = rows.length > 1 && region.h >= manyRows * tile.rows && columns.length > 1;
  const walkLine: typeof line = (...at) => (compact ? anywhere : line)(...at);
  for (const run of rows) {
    const at = { input: 4 * region.inPitch * run.first, output: 4 * region.outPitch * run.first };
    if (run.count === 1) {
      (edges ? anywhere : walkLine)(run.first, inPlane, at.input, outPlane, at.output);
      continue;
    }
    const row = fn.let(i32.const(run.first));
    const [x, y] = [fn.local("i32"), fn.local("i32")];
    fn.for(row, i32.const(run.first + run.count * tile.rows), tile.rows, () => {
      const limit = i32.const(region.h - tile.rows);
      const start = run.clamped ? fn.let(i32.select(row, limit, i32.ltS(row, limit))) : row;
      fn.set(x, i32.add(inPlane, i32.mul(start, i32.const(4 * region.inPitch))));
      fn.set(y, i32.add(outPlane, i32.mul(start, i32.const(4 * region.outPitch))));
      walkLine(run.first, x, 0, y, 0);
    });
  }
}

/** A byte address; the offset may be negative. */
interface Address {
  readonly base: Local<"i32">;
  readonly offset: number;
}

/** What all tiles of a channel share. */
interface Shared {
  readonly weights: readonly Local<"v128">[];
  readonly bias: Local<"v128">;
  readonly maskOf: (need: Need) => Local<"v128">;
}

function emitTile(context: EmitContext, p: WindowProblem, choice: WindowChoice, parts: readonly Part[], { weights, bias, maskOf }: Shared, input: Address, output: Address): void {
  const { fn, target, operand } = context;
  const { tile } = choice;
  const acc = fn.locals("v128", tile.rows * tile.vectors);
  const started = new Set<number>();
  const outside = p.border?.value ?? 0;
  if (p.kind === "depthwise") {
    for (const a of acc) fn.set(a, p.bias ? bias : f32x4.const(0));
    acc.forEach((_, i) => started.add(i));
  }
  const pool = (a: Local<"v128">, x: Local<"v128">): V128 => (p.kind === "max" ? maxOrNaN(target, a, x) : f32x4.add(a, x));
  const combine = (a: Local<"v128">, x: Local<"v128">, tap: number): V128 => (p.kind === "depthwise" ? madd(target, x, weights[tap] as V128, a) : pool(a, x));
  const masked = (need: Need, loaded: Local<"v128">): Local<"v128"> => {
    if (need.mask === 15) return loaded;
    const mask = maskOf(need);
    return fn.let(outside === 0 ? v128.and(loaded, mask) : v128.bitselect(loaded, f32x4.const(outside), mask));
  };
  for (const part of parts)
    emitNeeds(fn, target, p.columnStep, choice, part, input, pool, masked, (use, x) => {
      const accumulator = part.accumulator + use.accumulator;
      const a = acc[accumulator] as Local<"v128">;
      fn.set(a, started.has(accumulator) ? combine(a, x, use.tap) : x);
      started.add(accumulator);
    });
  acc.forEach((a, i) => {
    if (!started.has(i)) fn.set(a, f32x4.const(outside));
  });
  const offsets = vectorOffsets(tile, p.region.outPitch);
  if (p.kind === "sum" && p.scale !== 1) for (const a of acc) fn.set(a, f32x4.mul(a, f32x4.const(p.scale)));
  const at = output.offset < 0 ? { base: fn.let(i32.add(output.base, i32.const(output.offset))), offset: 0 } : output;
  if (p.residual) {
    const residual = fn.let(i32.add(operand("residual"), at.base));
    acc.forEach((a, i) => fn.set(a, f32x4.add(a, v128.load(residual, at.offset + (offsets[i] as number)))));
  }
  emitActivation(fn, target, p.activation, acc);
  const y = fn.let(i32.add(operand("y"), at.base));
  acc.forEach((a, i) => fn.store(y, a, at.offset + (offsets[i] as number)));
}

/** Makes the needed vectors and uses them, in the order of `schedule`. */
function emitNeeds(
  fn: FunctionBuilder,
  target: Target,
  columnStep: 1 | 2,
  { ahead, shifts }: WindowChoice,
  { needs, lines, input: start }: Part,
  input: Address,
  pool: (a: Local<"v128">, x: Local<"v128">) => V128,
  masked: (need: Need, vector: Local<"v128">) => Local<"v128">,
  combine: (use: Use, vector: Local<"v128">) => void,
): void {
  const plan = planVectors(needs, columnStep, shifts);
  const addressOf = addresses(fn, target, { base: input.base, offset: input.offset + 4 * start }, plan, lines);
  const made: Local<"v128">[] = [];
  const ready = new Map<number, Local<"v128">>();
  for (const action of schedule(needs, plan, ahead)) {
    if ("step" in action) {
      const step = plan.steps[action.step] as VectorStep;
      if ("load" in step) {
        const rows = lines.map((line) => {
          const { base, offset } = addressOf(4 * (step.load + line));
          return fn.let(v128.load(base, offset));
        });
        made[action.step] = rows.reduce((a, x) => fn.let(pool(a, x)));
      } else made[action.step] = fn.let(v128.shuffle(made[step.low] as V128, made[step.high] as V128, step.lanes));
      continue;
    }
    const need = needs[action.need] as Need;
    const vector = ready.get(action.need) ?? masked(need, made[plan.madeBy[action.need] as number] as Local<"v128">);
    ready.set(action.need, vector);
    combine(need.uses[action.use] as Use, vector);
  }
}

/**
 * Addresses of byte offsets from one that may be negative. Where static offsets fold into loads as multiples only, offsets that leave the same rest share an address.
 */
function addresses(
  fn: FunctionBuilder,
  target: Target,
  { base, offset }: Address,
  { steps }: VectorPlan,
  lines: readonly number[],
): (bytes: number) => { base: I32; offset: number } {
  const multiple = foldsOffset(target, 4100) ? 1 : 16;
  const least = Math.min(0, ...steps.flatMap((step) => ("load" in step ? lines.map((line) => offset + 4 * (step.load + line)) : [])));
  const moved = new Map<number, Local<"i32">>();
  return (bytes) => {
    const rest = (((offset + bytes - least) % multiple) + multiple) % multiple;
    let address = moved.get(rest);
    if (address === undefined) {
      address = rest + least === 0 ? base : fn.let(i32.add(base, i32.const(rest + least)));
      moved.set(rest, address);
    }
    return { base: address, offset: offset + bytes - least - rest };
  };
}
