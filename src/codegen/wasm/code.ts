/** Typed fragments of WebAssembly: each is the instructions that leave one value of type T on the stack. */
export type ValueType = "i32" | "i64" | "f32" | "v128";

export interface Code<T extends ValueType = ValueType> {
  readonly type: T;
  readonly bytes: readonly number[];
}
export type I32 = Code<"i32">;
export type I64 = Code<"i64">;
export type F32 = Code<"f32">;
export type V128 = Code<"v128">;

/** Unsigned LEB128. */
export function unsigned(value: number): number[] {
  const out: number[] = [];
  let v = value;
  do {
    const low = v % 128;
    v = Math.floor(v / 128);
    out.push(v === 0 ? low : low + 128);
  } while (v !== 0);
  return out;
}

/** Signed LEB128 of a 32-bit integer. */
export function signed(value: number): number[] {
  const out: number[] = [];
  let v = value | 0;
  for (;;) {
    const low = v & 127;
    v >>= 7;
    if ((v === 0 && (low & 64) === 0) || (v === -1 && (low & 64) !== 0)) {
      out.push(low);
      return out;
    }
    out.push(low | 128);
  }
}

function float32Bytes(value: number): number[] {
  return [...new Uint8Array(new Float32Array([value]).buffer)];
}

const code = <T extends ValueType>(type: T, ...parts: readonly (number | readonly number[])[]): Code<T> => ({ type, bytes: parts.flat() });
const simd = (op: number) => [0xfd, ...unsigned(op)];
const memarg = (alignLog2: number, offset: number) => [alignLog2, ...unsigned(offset)];

type Binary<A extends ValueType, R extends ValueType> = (a: Code<A>, b: Code<A>) => Code<R>;
type Unary<A extends ValueType, R extends ValueType> = (a: Code<A>) => Code<R>;
type Load<R extends ValueType> = (address: I32, offset?: number) => Code<R>;

const bin =
  <A extends ValueType, R extends ValueType>(result: R, op: readonly number[]): Binary<A, R> =>
  (a, b) =>
    code(result, a.bytes, b.bytes, op);
const un =
  <A extends ValueType, R extends ValueType>(result: R, op: readonly number[]): Unary<A, R> =>
  (a) =>
    code(result, a.bytes, op);
const load =
  <R extends ValueType>(result: R, op: readonly number[], align: number): Load<R> =>
  (address, offset = 0) =>
    code(result, address.bytes, op, memarg(align, offset));
const ii = (op: number) => bin<"i32", "i32">("i32", [op]);
const ff = (op: number) => bin<"f32", "f32">("f32", [op]);
const fi = (op: number) => bin<"f32", "i32">("i32", [op]);
const f1 = (op: number) => un<"f32", "f32">("f32", [op]);
const vv = (op: number) => bin<"v128", "v128">("v128", simd(op));
const v1 = (op: number) => un<"v128", "v128">("v128", simd(op));

export const i32 = {
  const: (value: number): I32 => code("i32", 0x41, signed(value)),
  add: ii(0x6a),
  sub: ii(0x6b),
  mul: ii(0x6c),
  divS: ii(0x6d),
  divU: ii(0x6e),
  remU: ii(0x70),
  and: ii(0x71),
  or: ii(0x72),
  xor: ii(0x73),
  shl: ii(0x74),
  shrS: ii(0x75),
  shrU: ii(0x76),
  eq: ii(0x46),
  ne: ii(0x47),
  ltS: ii(0x48),
  ltU: ii(0x49),
  gtS: ii(0x4a),
  gtU: ii(0x4b),
  leS: ii(0x4c),
  leU: ii(0x4d),
  geS: ii(0x4e),
  geU: ii(0x4f),
  eqz: un<"i32", "i32">("i32", [0x45]),
  popcnt: un<"i32", "i32">("i32", [0x69]),
  ctz: un<"i32", "i32">("i32", [0x68]),
  load: load("i32", [0x28], 2),
  load8u: load("i32", [0x2d], 0),
  load16u: load("i32", [0x2f], 1),
  select: (a: I32, b: I32, condition: I32): I32 => code("i32", a.bytes, b.bytes, condition.bytes, 0x1b),
  truncSatF32: un<"f32", "i32">("i32", [0xfc, 0x00]),
  reinterpretF32: un<"f32", "i32">("i32", [0xbc]),
  /** The low half. */
  wrapI64: un<"i64", "i32">("i32", [0xa7]),
  atomicLoad: load("i32", [0xfe, 0x10], 2),
  atomicAdd: (address: I32, value: I32, offset = 0): I32 => code("i32", address.bytes, value.bytes, [0xfe, 0x1e], memarg(2, offset)),
  /** memory.atomic.wait32: sleeps while the word holds `expected`, `milliseconds` at most. */
  atomicWait: (address: I32, expected: I32, milliseconds: number, offset = 0): I32 =>
    code("i32", address.bytes, expected.bytes, [0x42], signed(milliseconds * 1_000_000), [0xfe, 0x01], memarg(2, offset)),
  atomicNotify: (address: I32, count: I32, offset = 0): I32 => code("i32", address.bytes, count.bytes, [0xfe, 0x00], memarg(2, offset)),
} as const;

/** What two counters in one word need. */
export const i64 = {
  extendI32U: un<"i32", "i64">("i64", [0xad]),
  const: (value: number): I64 => code("i64", 0x42, signed(value)),
  ne: bin<"i64", "i32">("i32", [0x52]),
  or: bin<"i64", "i64">("i64", [0x84]),
  shl: bin<"i64", "i64">("i64", [0x86]),
  shrU: bin<"i64", "i64">("i64", [0x88]),
  atomicLoad: load("i64", [0xfe, 0x11], 3),
  /** Stores `replacement` if the word holds `expected`; gives what it held. */
  atomicCompareExchange: (address: I32, expected: I64, replacement: I64, offset = 0): I64 =>
    code("i64", address.bytes, expected.bytes, replacement.bytes, [0xfe, 0x49], memarg(3, offset)),
} as const;

export const f32 = {
  const: (value: number): F32 => code("f32", 0x43, float32Bytes(value)),
  add: ff(0x92),
  sub: ff(0x93),
  mul: ff(0x94),
  div: ff(0x95),
  min: ff(0x96),
  max: ff(0x97),
  abs: f1(0x8b),
  neg: f1(0x8c),
  ceil: f1(0x8d),
  floor: f1(0x8e),
  trunc: f1(0x8f),
  nearest: f1(0x90),
  sqrt: f1(0x91),
  eq: fi(0x5b),
  ne: fi(0x5c),
  lt: fi(0x5d),
  gt: fi(0x5e),
  le: fi(0x5f),
  ge: fi(0x60),
  load: load("f32", [0x2a], 2),
  convertI32: un<"i32", "f32">("f32", [0xb2]),
  reinterpretI32: un<"i32", "f32">("f32", [0xbe]),
  select: (a: F32, b: F32, condition: I32): F32 => code("f32", a.bytes, b.bytes, condition.bytes, 0x1b),
} as const;

export const v128 = {
  load: load("v128", simd(0x00), 4),
  load32Splat: load("v128", simd(0x09), 2),
  load32Zero: load("v128", simd(0x5c), 2),
  load64Zero: load("v128", simd(0x5d), 3),
  const: (lanes: readonly [number, number, number, number]): V128 => code("v128", simd(0x0c), lanes.flatMap(float32Bytes)),
  constI32: (lane: number): V128 => v128.constI32x4([lane, lane, lane, lane]),
  constI32x4: (lanes: readonly [number, number, number, number]): V128 => code("v128", simd(0x0c), [...new Uint8Array(new Int32Array(lanes).buffer)]),
  not: v1(0x4d),
  and: vv(0x4e),
  andnot: vv(0x4f),
  or: vv(0x50),
  xor: vv(0x51),
  /** a where the mask's bits are set, else b. */
  bitselect: (a: V128, b: V128, mask: V128): V128 => code("v128", a.bytes, b.bytes, mask.bytes, simd(0x52)),
  anyTrue: un<"v128", "i32">("i32", simd(0x53)),
  /** Lanes 0…3 come from a, 4…7 from b. */
  shuffle: (a: V128, b: V128, lanes: readonly [number, number, number, number]): V128 =>
    v128.shuffleBytes(
      a,
      b,
      lanes.flatMap((l) => [4 * l, 4 * l + 1, 4 * l + 2, 4 * l + 3]),
    ),
  /** 16 bytes; 0…15 come from a, 16…31 from b. */
  shuffleBytes: (a: V128, b: V128, bytes: readonly number[]): V128 => code("v128", a.bytes, b.bytes, simd(0x0d), bytes),
} as const;

export const i32x4 = {
  splat: un<"i32", "v128">("v128", simd(0x11)),
  add: vv(0xae),
  sub: vv(0xb1),
  mul: vv(0xb5),
  eq: vv(0x37),
  ltU: vv(0x3a),
  shl: (a: V128, b: I32): V128 => code("v128", a.bytes, b.bytes, simd(0xab)),
  shrS: (a: V128, b: I32): V128 => code("v128", a.bytes, b.bytes, simd(0xac)),
  truncSatF32x4: v1(0xf8),
} as const;

export const f32x4 = {
  splat: un<"f32", "v128">("v128", simd(0x13)),
  const: (value: number): V128 => v128.const([value, value, value, value]),
  extract: (a: V128, lane: number): F32 => code("f32", a.bytes, simd(0x1f), lane),
  /** a with the lane replaced. */
  replace: (a: V128, lane: number, value: F32): V128 => code("v128", a.bytes, value.bytes, simd(0x20), lane),
  add: vv(0xe4),
  sub: vv(0xe5),
  mul: vv(0xe6),
  div: vv(0xe7),
  min: vv(0xe8),
  max: vv(0xe9),
  pmin: vv(0xea),
  pmax: vv(0xeb),
  abs: v1(0xe0),
  neg: v1(0xe1),
  sqrt: v1(0xe3),
  ceil: v1(0x67),
  floor: v1(0x68),
  trunc: v1(0x69),
  nearest: v1(0x6a),
  eq: vv(0x41),
  ne: vv(0x42),
  lt: vv(0x43),
  gt: vv(0x44),
  le: vv(0x45),
  ge: vv(0x46),
  convertI32x4: v1(0xfa),
  /** a · b + c, rounded once or twice as the engine likes; needs relaxed SIMD. */
  relaxedMadd: (a: V128, b: V128, c: V128): V128 => code("v128", a.bytes, b.bytes, c.bytes, simd(0x105)),
  /** c − a · b, likewise. */
  relaxedNmadd: (a: V128, b: V128, c: V128): V128 => code("v128", a.bytes, b.bytes, c.bytes, simd(0x106)),
} as const;

export const f64x2 = {
  add: vv(0xf0),
  sub: vv(0xf1),
  mul: vv(0xf2),
  /** a · b + c, rounded once or twice as the engine likes; needs relaxed SIMD. */
  relaxedMadd: (a: V128, b: V128, c: V128): V128 => code("v128", a.bytes, b.bytes, c.bytes, simd(0x107)),
} as const;
