import type { Target } from "../../codegen/target.ts";
import { f32x4, type I32, i32, type V128, v128 } from "../../codegen/wasm/code.ts";
import type { Local } from "../../codegen/wasm/function.ts";
import { type Activation, noActivation } from "../../ir/activation.ts";
import { defineKernel, type EmitContext } from "../kernel.ts";
import { type Region, setTileOffsets, type Tile, tilesOf } from "../region.ts";
import type { Reuse } from "../reuse.ts";
import { emitActivation } from "../vector-math.ts";
import { type Four, inputTransform, mapFour, outputTransform, type TileSide, transpose, transposeHigh, type WinogradTaps } from "../winograd.ts";
import { emitTiles, f32Gemm, type GemmChoice, type GemmProblem } from "./f32-gemm.ts";

/**
 * y[m, p] = act(bias[m] + Σ_c Σ_t w[m, c, t] · x[c, p + tap t] + residual[m, p]) for the 3×3, 4×4 or 5×5 taps of stride 1, by Winograd's F(4×4, 3×3), F(3×3, 4×4) or F(2×2, 5×5), or by F(2×2, 3×3).
 * Of a block of tiles the 6×6 or 4×4 inputs of all channels are transformed, 4 tiles to a vector; then, for each of the 36 or 16 points, a product of the
 * transformed filters with them (f32-gemm); then the sums are transformed back, group by group of filters. A window of larger stride is one of stride 1 over the phases of the planes,
 * which are channels of their own. Region at least 4×4.
 *
 * Weights: [group][point][f32-gemm's packed weights of the group's filters], made by `prepare`.
 */
export interface WinogradProblem {
  readonly m: number;
  readonly channels: number;
  /** Taps a side; with more than 3 there is no residual. */
  readonly taps: WinogradTaps;
  readonly channelStride: number;
  readonly region: Region;
  /** Between the output planes of two filters; the residual has the output's strides. */
  readonly outStride: number;
  readonly bias: boolean;
  readonly residual: boolean;
  readonly activation: Activation;
}

export interface WinogradChoice {
  /** Elements a side of a transformed tile if it is not 6. Smaller tiles take more multiplications and fewer weights. */
  readonly side?: 4;
  /** Tiles of a block, a multiple of 4. */
  readonly tiles: number;
  /** Filters of a group, a multiple of the product's. */
  readonly group: number;
  /** How the product at each point is computed. */
  readonly product: GemmChoice;
  /** What threads share out: so many rows of tiles an item, or groups of filters; then each thread transforms the whole input. */
  readonly split: { readonly by: "tiles"; readonly rows: number } | { readonly by: "filters" };
}

type Side = Pick<WinogradChoice, "side">;

const sideOf = ({ side }: Side): TileSide => side ?? 6;

/** Elements of a transformed tile. */
export const pointsOf = (choice: Side): number => sideOf(choice) ** 2;

/** Outputs a side of a tile. */
const outputsOf = ({ taps }: WinogradProblem, choice: Side): number => sideOf(choice) + 1 - taps;

/** The outputs of a tile, which may fill a part of a vector. */
const tileOf = (p: WinogradProblem, choice: Side): Tile => ({ rows: outputsOf(p, choice), vectors: outputsOf(p, choice) / 4 });

const maxItems = 16;

/** Bytes of a second-level cache, of phones too. */
const nearBytes = 512_000;

/** Bytes of a thread's part of a block: what a second-level cache holds, or a little more, so that weights are read less often. */
const slotLimit = 1_400_000;

/** The product at one point, for a group of filters. Each tile of the product reads a panel of its own: [channel][vectors of tiles]. */
function productOf(p: WinogradProblem, { tiles, vectors }: { readonly tiles: number; readonly vectors: number }, filters: number): GemmProblem {
  const width = 4 * vectors;
  return {
    m: filters,
    channels: p.channels,
    channelStride: width,
    taps: [0],
    region: { h: tiles / width, w: width, inPitch: p.channels * width, outPitch: width },
    outStride: tiles,
    weights: { kind: "packed" },
    bias: false,
    residual: false,
    activation: noActivation,
  };
}

const shapeOf = ({ tiles, product }: WinogradChoice) => ({ tiles, vectors: product.tile.vectors });

/** Where a thread keeps what of a block, in bytes: offsets of the tiles in input, in output, of the vectors in panels; transformed inputs; sums. */
function slotOf(p: WinogradProblem, choice: Pick<WinogradChoice, "side" | "tiles" | "group">) {
  const { tiles, group } = choice;
  const points = pointsOf(choice);
  // An odd number of cache lines from point to point, so that a tile's elements fall into different sets of the cache.
  const lines = (elements: number) => 64 * (Math.ceil(elements / 16) + (Math.ceil(elements / 16) % 2 === 0 ? 1 : 0));
  const inputStride = lines(p.channels * tiles);
  const sumStride = lines(Math.min(group, p.m) * tiles);
  const inputs = Math.ceil((12 * tiles) / 64) * 64;
  const sums = inputs + points * inputStride;
  return { inputs, inputStride, sums, sumStride, bytes: sums + points * sumStride };
}

/** Elements of operand `scratch`: each item has its own part. */
export const winogradScratch = (p: WinogradProblem, choice: WinogradChoice): number => (itemsOf(p, choice) * slotOf(p, choice).bytes) / 4;

const groupsOf = (p: WinogradProblem, choice: WinogradChoice): number => Math.ceil(p.m / choice.group);

/** Vectors of four tiles. */
const quadsOf = (p: WinogradProblem, choice: Side): number => Math.ceil(tilesOf(p.region, tileOf(p, choice)).count / 4);

/** Rows of tiles that are shared out. If the last row reaches back into the one before, both go together, so that no two threads write the same place. */
function rowUnits(p: WinogradProblem, choice: Side): number {
  const rows = tilesOf(p.region, tileOf(p, choice)).y;
  return p.region.h % outputsOf(p, choice) === 0 ? rows : Math.max(1, rows - 1);
}

function itemsOf(p: WinogradProblem, choice: WinogradChoice): number {
  return choice.split.by === "tiles" ? Math.ceil(rowUnits(p, choice) / choice.split.rows) : groupsOf(p, choice);
}

/** At each point a panel of transformed inputs comes back for each block of filters, which come back for each panel. */
function reuseOf(p: WinogradProblem, choice: WinogradChoice): Reuse {
  const { tiles, product } = choice;
  const quads = quadsOf(p, choice);
  return { walks: Math.ceil((4 * quads) / tiles), tile: 4 * p.channels * (4 * product.tile.vectors + product.filters), scattered: 0 };
}

export const f32Winograd = defineKernel<WinogradProblem, WinogradChoice>({
  name: "f32-winograd",
  backend: "wasm",
  operands: (p) => ["x", "w", ...(p.bias ? ["bias"] : []), ...(p.residual ? ["residual"] : []), "scratch", "y"],
  choices: (p, target) => (p.taps === 3 ? [{}, { side: 4 } as const] : [{}]).flatMap((side) => choicesOf(p, side, target)),
  cost(p, choice, target) {
    const { tiles, group, product } = choice;
    const { vectors } = product.tile;
    const points = pointsOf(choice);
    const quads = quadsOf(p, choice);
    const columns = Math.ceil(quads / vectors);
    const blocks = Math.ceil((4 * quads) / tiles);
    const productCost = (filters: number) => (filters === 0 ? 0 : f32Gemm.cost(productOf(p, { tiles: 4 * vectors, vectors }, filters), product, target));
    const products = Math.floor(p.m / group) * productCost(group) + productCost(p.m % group);
    // Each block reads all weights again; more than the second-level cache holds come slowly.
    const weightBytes = points * 4 * p.m * p.channels;
    const loads = weightBytes > 600_000 ? (weightBytes * blocks) / 16 : 0;
    // The first time they come from afar; what a direct convolution reads, too, does not count.
    const first = weightBytes > 600_000 ? 0.75 * weightBytes * (1 - p.taps ** 2 / points) : 0;
    // A block that a second-level cache does not hold is written and read again from afar.
    const afar = (blocks * Math.max(0, slotOf(p, choice).bytes - nearBytes)) / 10;
    const transforms = points === 36 ? p.channels * 130 + p.m * 120 : p.channels * 60 + p.m * 45;
    return points * products * columns + loads + first + afar + 2000 * blocks + quads * transforms;
  },
  reuse: reuseOf,
  sharesLoads: (p, choice) => f32Gemm.sharesLoads?.(productOf(p, shapeOf(choice), p.m), choice.product) === true,
  // Records of 3×3 taps are older than the others.
  digest: ({ taps, ...p }) => (taps === 3 ? p : { ...p, taps }),
  items: itemsOf,
  emit(context, p, choice) {
    const { fn, operand, begin, end } = context;
    const { x: columns, y: rows, count } = tilesOf(p.region, tileOf(p, choice));
    const slot = slotOf(p, choice);
    const { split } = choice;
    fn.if(i32.ltS(begin, end), () => {
      const scratch = fn.let(i32.add(operand("scratch"), i32.mul(begin, i32.const(slot.bytes))));
      const first = fn.let(split.by === "tiles" ? i32.mul(begin, i32.const(split.rows * columns)) : i32.const(0));
      const whole = i32.const(rows * columns);
      const last = fn.let(split.by === "tiles" ? i32.select(whole, i32.mul(end, i32.const(split.rows * columns)), i32.eq(end, i32.const(itemsOf(p, choice)))) : i32.const(count));
      const quads = fn.local("i32");
      const transformInput = prepareInput(context, p, choice, scratch, quads);
      const multiply = prepareProducts(context, p, choice, scratch, quads);
      const transformOutput = prepareOutput(context, p, choice, scratch, quads);
      emitPanelOffsets(context, p, choice, scratch);
      fn.for(first, last, choice.tiles, () => {
        const left = fn.let(i32.sub(last, first));
        fn.set(quads, i32.shrU(i32.add(i32.select(left, i32.const(choice.tiles), i32.ltS(left, i32.const(choice.tiles))), i32.const(3)), i32.const(2)));
        emitOffsets(context, p, choice, scratch, quads, first, last);
        transformInput();
        const group = fn.let(split.by === "filters" ? begin : i32.const(0));
        fn.for(group, split.by === "filters" ? end : i32.const(groupsOf(p, choice)), 1, () => {
          multiply(group);
          transformOutput(group);
        });
      });
    });
  },
});

function choicesOf(p: WinogradProblem, side: Side, target: Target): WinogradChoice[] {
  const units = rowUnits(p, side);
  const quads = quadsOf(p, side);
  const split: WinogradChoice["split"] = units >= 6 ? { by: "tiles", rows: Math.ceil(units / maxItems) } : { by: "filters" };
  return productsFor(p, quads, target).flatMap((product) => {
    const { filters, tile: shape } = product;
    const group = split.by === "tiles" ? Math.ceil(Math.min(p.m, 48) / filters) * filters : evenGroup(p.m, filters);
    const columns = new Set([1, 2, 3, 4, 6, 8].map((n) => Math.min(n, Math.ceil(quads / shape.vectors))));
    const blocks = [...columns].map((n) => ({ ...side, tiles: 4 * shape.vectors * n, group }));
    return blocks.filter((block, i) => i === 0 || slotOf(p, block).bytes < slotLimit).map((block): WinogradChoice => ({ ...block, product, split }));
  });
}

/** Filters a group such that two and four threads get equal shares as far as possible, large ones rather than small ones. */
function evenGroup(m: number, filters: number): number {
  const sizes = Array.from({ length: Math.ceil(Math.min(m, 72) / filters) }, (_, i) => (i + 1) * filters).filter((size, i, all) => size >= 24 || i === all.length - 1);
  const share = (size: number, threads: number) => {
    const count = Math.ceil(m / size);
    const ends = Array.from({ length: threads + 1 }, (_, t) => Math.min(m, size * Math.floor((count * t) / threads)));
    return Math.max(...ends.slice(1).map((end, t) => end - (ends[t] as number))) * threads;
  };
  return sizes.reduce((best, size) => (share(size, 2) + share(size, 4) <= share(best, 2) + share(best, 4) ? size : best));
}

/** The two best ways to compute the products. */
function productsFor(p: WinogradProblem, quads: number, target: Target): GemmChoice[] {
  const priced = [1, 2, 3, 4, 5]
    .filter((vectors) => vectors <= quads)
    .flatMap((vectors) => {
      const problem = productOf(p, { tiles: 4 * vectors, vectors }, p.m);
      return f32Gemm
        .choices(problem, target)
        .filter((c) => c.tile.vectors === vectors)
        .map((c) => ({ product: { ...c, chunk: 1, split: "tiles" } as const, cost: f32Gemm.cost(problem, c, target) * Math.ceil(quads / vectors) }));
    });
  return priced
    .sort((x, y) => x.cost - y.cost)
    .slice(0, 2)
    .map((x) => x.product);
}

/** Byte offsets of the block's tiles in input planes, then in output planes. Behind the last tile it is repeated. */
function emitOffsets({ fn }: EmitContext, p: WinogradProblem, choice: WinogradChoice, scratch: I32, quads: I32, first: I32, last: I32): void {
  const entry = fn.let(scratch);
  const index = fn.let(first);
  const inOffset = fn.local("i32");
  const outOffset = fn.local("i32");
  const end = fn.let(i32.add(entry, i32.shl(quads, i32.const(4))));
  fn.doWhile(
    () => {
      setTileOffsets(fn, p.region, tileOf(p, choice), fn.let(i32.select(index, i32.sub(last, i32.const(1)), i32.ltS(index, last))), inOffset, outOffset);
      fn.storeI32(entry, inOffset);
      fn.storeI32(entry, outOffset, 4 * choice.tiles);
      fn.set(index, i32.add(index, i32.const(1)));
      fn.set(entry, i32.add(entry, i32.const(4)));
    },
    () => i32.ltU(entry, end),
  );
}

/** Byte offsets of the block's vectors in the panels of one point. */
function emitPanelOffsets({ fn }: EmitContext, p: WinogradProblem, choice: WinogradChoice, scratch: I32): void {
  const { vectors } = choice.product.tile;
  for (let quad = 0; quad < choice.tiles / 4; quad++)
    fn.storeI32(scratch, i32.const(16 * (Math.floor(quad / vectors) * p.channels * vectors + (quad % vectors))), 8 * choice.tiles + 16 * quad);
}

const four: Four<number> = [0, 1, 2, 3];

/** Indices along a side of a transformed tile. */
const along = (choice: Side): number[] => Array.from({ length: sideOf(choice) }, (_, i) => i);

/** V = Bᵀ d B for all channels and tiles of the block: [point][panel][channel][tile]. */
function prepareInput({ fn, target, operand }: EmitContext, p: WinogradProblem, choice: WinogradChoice, scratch: Local<"i32">, quads: Local<"i32">): () => void {
  const { inputs, inputStride } = slotOf(p, choice);
  const side = sideOf(choice);
  return () => {
    const transform = inputTransform(fn, target, side);
    const plane = fn.let(operand("x"));
    const row = fn.let(i32.add(scratch, i32.const(inputs)));
    const channels = fn.let(i32.const(p.channels));
    fn.doWhile(
      () => {
        const entry = fn.let(scratch);
        const end = fn.let(i32.add(entry, i32.shl(quads, i32.const(4))));
        fn.doWhile(
          () => {
            const tiles = mapFour(four, (t) => fn.let(i32.add(plane, i32.load(entry, 4 * t))));
            const rows = along(choice).map((r) => {
              const at = (column: number) => mapFour(four, (t) => fn.let(v128.load(tiles[t] as I32, 4 * (r * p.region.inPitch + column))));
              return transform([...transpose(fn, at(0)), ...(side === 6 ? transposeHigh(fn, at(2)) : [])]).map((v) => fn.let(v));
            });
            const to = fn.let(i32.add(row, i32.load(entry, 8 * choice.tiles)));
            for (const j of along(choice)) transform(rows.map((row) => row[j] as Local<"v128">)).forEach((v, i) => fn.store(to, v, (i * side + j) * inputStride));
            fn.set(entry, i32.add(entry, i32.const(16)));
          },
          () => i32.ltU(entry, end),
        );
        fn.set(plane, i32.add(plane, i32.const(4 * p.channelStride)));
        fn.set(row, i32.add(row, i32.const(16 * choice.product.tile.vectors)));
        fn.set(channels, i32.sub(channels, i32.const(1)));
      },
      () => channels,
    );
  };
}

/** M = U · V at every point, for one group of filters: [point][filter][tile]. */
function prepareProducts(context: EmitContext, p: WinogradProblem, choice: WinogradChoice, scratch: Local<"i32">, quads: Local<"i32">): (group: Local<"i32">) => void {
  const { fn, operand } = context;
  const { inputs, inputStride, sums, sumStride } = slotOf(p, choice);
  const fullGroups = Math.floor(p.m / choice.group);
  const last = p.m % choice.group;
  const { vectors } = choice.product.tile;
  return (group) => {
    const x = fn.let(i32.add(scratch, i32.const(inputs)));
    const w = fn.let(i32.add(operand("w"), i32.mul(group, i32.const(4 * pointsOf(choice) * choice.group * p.channels))));
    const y = fn.let(i32.add(scratch, i32.const(sums)));
    const operands = new Map<string, Local<"i32">>([
      ["x", x],
      ["w", w],
      ["y", y],
    ]);
    const begin = fn.let(i32.const(0));
    const end = fn.let(i32.divU(i32.add(quads, i32.const(vectors - 1)), i32.const(vectors)));
    /** `count` filters: so many whole blocks of the product's, and one of the `rest`. */
    const products = (count: I32, blocks: I32, rest: number) => {
      const points = fn.let(i32.const(pointsOf(choice)));
      const pointBytes = fn.let(i32.mul(count, i32.const(4 * p.channels)));
      fn.doWhile(
        () => {
          emitTiles(
            { ...context, operand: (name) => operands.get(name) as Local<"i32">, begin, end },
            productOf(p, shapeOf(choice), Math.min(choice.group, p.m)),
            choice.product,
            blocks,
            rest,
          );
          fn.set(x, i32.add(x, i32.const(inputStride)));
          fn.set(w, i32.add(w, pointBytes));
          fn.set(y, i32.add(y, i32.const(sumStride)));
          fn.set(points, i32.sub(points, i32.const(1)));
        },
        () => points,
      );
    };
    const { filters } = choice.product;
    const ofGroup = (count: number) => products(i32.const(count), i32.const(Math.floor(count / filters)), count % filters);
    const isFull = i32.ltS(group, i32.const(fullGroups));
    if (last === 0) ofGroup(choice.group);
    else if (fullGroups === 0) ofGroup(last);
    else if (last % filters === 0) {
      const count = fn.let(i32.select(i32.const(choice.group), i32.const(last), isFull));
      products(count, fn.let(i32.divU(count, i32.const(filters))), 0);
    } else
      fn.if(
        isFull,
        () => ofGroup(choice.group),
        () => ofGroup(last),
      );
  };
}

/** y = act(bias + Aᵀ M A + residual) for one group of filters. */
function prepareOutput(
  { fn, target, operand }: EmitContext,
  p: WinogradProblem,
  choice: WinogradChoice,
  scratch: Local<"i32">,
  quads: Local<"i32">,
): (group: Local<"i32">) => void {
  const slot = slotOf(p, choice);
  return (group) => {
    const side = sideOf(choice);
    const outputs = outputsOf(p, choice);
    const transform = outputTransform(fn, target, side, outputs);
    // No more than a tile has: behind the last one memory may end.
    const loadOutputs = outputs === 4 ? v128.load : v128.load64Zero;
    const filter = fn.let(i32.mul(group, i32.const(choice.group)));
    const stop = fn.let(i32.add(filter, i32.const(choice.group)));
    if (p.m % choice.group !== 0) fn.set(stop, i32.select(stop, i32.const(p.m), i32.ltS(stop, i32.const(p.m))));
    const plane = fn.let(i32.mul(filter, i32.const(4 * p.outStride)));
    const row = fn.let(i32.add(scratch, i32.const(slot.sums)));
    fn.for(filter, stop, 1, () => {
      const bias = p.bias ? fn.let(v128.load32Splat(i32.add(operand("bias"), i32.shl(filter, i32.const(2))))) : undefined;
      const entry = fn.let(scratch);
      const from = fn.let(row);
      const end = fn.let(i32.add(entry, i32.shl(quads, i32.const(4))));
      fn.doWhile(
        () => {
          const columns = along(choice).map((j) => transform(along(choice).map((i) => v128.load(from, (i * side + j) * slot.sumStride))).map((v) => fn.let(v)));
          const tiles = mapFour(four, (t) => fn.let(i32.add(plane, i32.load(entry, 4 * (choice.tiles + t)))));
          // Upwards: where tiles overlap, the later one has the last word, however tiles fall into vectors.
          for (let i = outputs - 1; i >= 0; i--) {
            const sums = transform(columns.map((column) => column[i] as V128)).map((v) => fn.let(bias === undefined ? v : f32x4.add(v, bias)));
            // Lanes behind a tile's outputs are not stored.
            transpose(
              fn,
              mapFour(four, (k) => sums[k] ?? (sums[0] as V128)),
            ).forEach((v, t) => {
              const offset = 4 * i * p.region.outPitch;
              if (p.residual) fn.set(v, f32x4.add(v, loadOutputs(i32.add(operand("residual"), tiles[t] as I32), offset)));
              emitActivation(fn, target, p.activation, v);
              fn.storeLanes(i32.add(operand("y"), tiles[t] as I32), v, outputs, offset);
            });
          }
          fn.set(entry, i32.add(entry, i32.const(16)));
          fn.set(from, i32.add(from, i32.const(16)));
        },
        () => i32.ltU(entry, end),
      );
      fn.set(plane, i32.add(plane, i32.const(4 * p.outStride)));
      fn.set(row, i32.add(row, i32.const(4 * choice.tiles)));
    });
  };
}
