/** What follows an opcode in the binary. */
export type Immediate =
  | "none"
  | "block"
  | "label"
  | "table"
  | "function"
  | "local"
  | "i32"
  | "i64"
  | "f32"
  | "v128"
  | "lanes"
  | "lane"
  | "memory"
  | "memory lane"
  | "zero"
  | "two zeros";

/** One instruction: how many values it takes from the stack and whether it leaves one. */
export interface Instruction {
  readonly name: string;
  readonly takes: number;
  readonly gives: boolean;
  readonly immediate: Immediate;
}

const table = new Map<number, Instruction>();
const prefixes = { core: 0, misc: 0xfc, simd: 0xfd, atomic: 0xfe } as const;
type Prefix = keyof typeof prefixes;

/** Instructions behind a prefix byte have the key prefix · 2¹⁶ + opcode. */
const key = (prefix: number, opcode: number): number => prefix * 65536 + opcode;

/** Neighbouring opcodes whose names share a stem; "-" leaves one out. */
function run(prefix: Prefix, first: number, stem: string, names: string, takes: number, gives = true, immediate: Immediate = "none"): void {
  names.split(" ").forEach((name, i) => {
    if (name !== "-") table.set(key(prefixes[prefix], first + i), { name: stem + name, takes, gives, immediate });
  });
}

run("core", 0x02, "", "block loop", 0, false, "block");
run("core", 0x04, "", "if", 1, false, "block");
run("core", 0x05, "", "else", 0, false);
run("core", 0x0b, "", "end", 0, false);
run("core", 0x0c, "", "br", 0, false, "label");
run("core", 0x0d, "", "br_if", 1, false, "label");
run("core", 0x0e, "", "br_table", 1, false, "table");
run("core", 0x0f, "", "return", 0, false);
run("core", 0x10, "", "call", 0, false, "function");
run("core", 0x1a, "", "drop", 1, false);
run("core", 0x1b, "", "select", 3);
run("core", 0x20, "local.", "get", 0, true, "local");
run("core", 0x21, "local.", "set", 1, false, "local");
run("core", 0x22, "local.", "tee", 1, true, "local");
run("core", 0x28, "", "i32.load - f32.load - i32.load8_s i32.load8_u i32.load16_s i32.load16_u", 1, true, "memory");
run("core", 0x36, "", "i32.store - f32.store - i32.store8 i32.store16", 2, false, "memory");
run("core", 0x41, "i32.", "const", 0, true, "i32");
run("core", 0x42, "i64.", "const", 0, true, "i64");
run("core", 0x43, "f32.", "const", 0, true, "f32");
run("core", 0x45, "i32.", "eqz", 1);
run("core", 0x46, "i32.", "eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u", 2);
run("core", 0x52, "i64.", "ne", 2);
run("core", 0x5b, "f32.", "eq ne lt gt le ge", 2);
run("core", 0x67, "i32.", "clz ctz popcnt", 1);
run("core", 0x6a, "i32.", "add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr", 2);
run("core", 0x84, "i64.", "or - shl - shr_u", 2);
run("core", 0x8b, "f32.", "abs neg ceil floor trunc nearest sqrt", 1);
run("core", 0x92, "f32.", "add sub mul div min max copysign", 2);
run("core", 0xa7, "", "i32.wrap_i64", 1);
run("core", 0xad, "i64.", "extend_i32_u", 1);
run("core", 0xb2, "f32.", "convert_i32_s convert_i32_u", 1);
run("core", 0xbc, "", "i32.reinterpret_f32 - f32.reinterpret_i32", 1);
run("core", 0xc0, "i32.", "extend8_s extend16_s", 1);
run("misc", 0x00, "i32.trunc_sat_", "f32_s f32_u", 1);
run("misc", 0x0a, "memory.", "copy", 3, false, "two zeros");
run("misc", 0x0b, "memory.", "fill", 3, false, "zero");
run("simd", 0x00, "v128.", "load load8x8_s load8x8_u load16x4_s load16x4_u load32x2_s load32x2_u load8_splat load16_splat load32_splat load64_splat", 1, true, "memory");
run("simd", 0x0b, "v128.", "store", 2, false, "memory");
run("simd", 0x0c, "v128.", "const", 0, true, "v128");
run("simd", 0x0d, "i8x16.", "shuffle", 2, true, "lanes");
run("simd", 0x0f, "", "i8x16.splat i16x8.splat i32x4.splat - f32x4.splat", 1);
run("simd", 0x1b, "i32x4.", "extract_lane", 1, true, "lane");
run("simd", 0x1f, "f32x4.", "extract_lane", 1, true, "lane");
run("simd", 0x20, "f32x4.", "replace_lane", 2, true, "lane");
run("simd", 0x37, "i32x4.", "eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u", 2);
run("simd", 0x41, "f32x4.", "eq ne lt gt le ge", 2);
run("simd", 0x4d, "v128.", "not", 1);
run("simd", 0x4e, "v128.", "and andnot or xor", 2);
run("simd", 0x52, "v128.", "bitselect", 3);
run("simd", 0x53, "v128.", "any_true", 1);
run("simd", 0x5a, "v128.", "store32_lane store64_lane", 2, false, "memory lane");
run("simd", 0x5c, "v128.", "load32_zero load64_zero", 1, true, "memory");
run("simd", 0x67, "f32x4.", "ceil floor trunc nearest", 1);
run("simd", 0xa0, "i32x4.", "abs neg", 1);
run("simd", 0xab, "i32x4.", "shl shr_s shr_u add", 2);
run("simd", 0xb1, "i32x4.", "sub", 2);
run("simd", 0xb5, "i32x4.", "mul min_s min_u max_s max_u", 2);
run("simd", 0xba, "i32x4.", "dot_i16x8_s", 2);
run("simd", 0xe0, "f32x4.", "abs neg - sqrt", 1);
run("simd", 0xe4, "f32x4.", "add sub mul div min max pmin pmax", 2);
run("simd", 0xf0, "f64x2.", "add sub mul", 2);
run("simd", 0xf8, "", "i32x4.trunc_sat_f32x4_s i32x4.trunc_sat_f32x4_u f32x4.convert_i32x4_s f32x4.convert_i32x4_u", 1);
run("simd", 0x105, "f32x4.", "relaxed_madd relaxed_nmadd", 3);
run("simd", 0x107, "f64x2.", "relaxed_madd", 3);
run("atomic", 0x00, "memory.atomic.", "notify", 2, true, "memory");
run("atomic", 0x01, "memory.atomic.", "wait32", 3, true, "memory");
run("atomic", 0x10, "i32.atomic.", "load", 1, true, "memory");
run("atomic", 0x11, "i64.atomic.", "load", 1, true, "memory");
run("atomic", 0x17, "i32.atomic.", "store", 2, false, "memory");
run("atomic", 0x1e, "i32.atomic.rmw.", "add sub", 2, true, "memory");
run("atomic", 0x49, "i64.atomic.rmw.", "cmpxchg", 3, true, "memory");

export const hasPrefix = (byte: number): boolean => byte >= 0xfc && byte <= 0xfe;

/** The instruction of an opcode, or of one behind a prefix byte (0xfc, 0xfd, 0xfe). */
export const instruction = (opcode: number, prefix = 0): Instruction | undefined => table.get(key(prefix, opcode));
