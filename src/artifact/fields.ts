/** Fields of at most 8 bits touch at most two bytes, and bit order within little-endian words is that within their bytes. */
export function writeField(fields: Uint8Array, bit: number, field: number): void {
  const byte = bit >>> 3;
  const shifted = field << (bit & 7);
  fields[byte] = (fields[byte] as number) | (shifted & 255);
  if (shifted > 255) fields[byte + 1] = shifted >> 8;
}

export function readField(fields: Uint8Array, bit: number, bits: number): number {
  const byte = bit >>> 3;
  return (((fields[byte] as number) | ((fields[byte + 1] ?? 0) << 8)) >> (bit & 7)) & (2 ** bits - 1);
}
