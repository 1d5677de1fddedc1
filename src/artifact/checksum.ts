/** Odd, with well spread bits (the golden ratio's and a neighbouring prime), so that multiplying modulo 2³² is a bijection. */
const P = 0x9e3779b1;
const Q = 0x85ebca77;

/**
 * 32 bits that change with any change of a single word and, but for one in 2³², with any other. Four independent lanes of
 * `lane = mix((lane ^ word) · P)` over little-endian words, because one lane would wait for each multiplication. Not cryptographic.
 */
export function checksum(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = bytes.byteLength;
  let a = P;
  let b = Q;
  let c = ~P;
  let d = ~Q;
  let i = 0;
  for (const end = length & ~15; i < end; i += 16) {
    a = Math.imul(a ^ view.getInt32(i, true), P);
    b = Math.imul(b ^ view.getInt32(i + 4, true), P);
    c = Math.imul(c ^ view.getInt32(i + 8, true), P);
    d = Math.imul(d ^ view.getInt32(i + 12, true), P);
    a ^= a >>> 15;
    b ^= b >>> 15;
    c ^= c >>> 15;
    d ^= d >>> 15;
  }
  let hash = length;
  for (const lane of [a, b, c, d]) hash = mix(hash ^ lane);
  for (; i < length; i++) hash = mix(hash ^ view.getUint8(i));
  return hash >>> 0;
}

function mix(x: number): number {
  const y = Math.imul(x ^ (x >>> 16), Q);
  return Math.imul(y ^ (y >>> 13), P);
}
