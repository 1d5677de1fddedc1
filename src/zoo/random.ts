/** A seeded source of random numbers; equal seeds give equal numbers on every engine. */
export interface Random {
  /** The next 32 random bits. */
  bits(): number;
  /** Uniform on [0, 1). */
  uniform(): number;
  /** Standard normal. */
  normal(): number;
}

/** sfc32 (Chris Doty-Humphrey's "small fast counter", PractRand) and Marsaglia and Tsang's ziggurat of 128 layers. `stream` separates sources of one seed, for instance by a layer's name. */
export function createRandom(seed: number, stream = ""): Random {
  const state = Int32Array.of(seed, Math.floor(seed / 2 ** 32), hash(stream), 1); // a typed array, because V8 boxes 32-bit variables of closures
  const bits = (): number => {
    const b = state[1] as number;
    const c = state[2] as number;
    const counter = state[3] as number;
    const t = ((state[0] as number) + b + counter) | 0;
    state[0] = b ^ (b >>> 9);
    state[1] = c + (c << 3);
    state[2] = ((c << 21) | (c >>> 11)) + t;
    state[3] = counter + 1;
    return t;
  };
  for (let i = 0; i < 15; i++) bits();
  const uniform = () => (bits() >>> 0) / 2 ** 32;
  const normal = (): number => {
    for (;;) {
      const h = bits();
      const layer = h & 127;
      const x = h * (width[layer] as number);
      if (Math.abs(h) < (inside[layer] as number)) return x;
      if (layer === 0) {
        let tail = 0;
        let y = 0;
        do {
          tail = -Math.log(1 - uniform()) / tailStart;
          y = -Math.log(1 - uniform());
        } while (2 * y < tail * tail);
        return h > 0 ? tailStart + tail : -tailStart - tail;
      }
      const low = density[layer] as number;
      if (low + uniform() * ((density[layer - 1] as number) - low) < Math.exp(-0.5 * x * x)) return x;
    }
  };
  return { bits, uniform, normal };
}

/** FNV-1a. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h | 0;
}

/** Where the ziggurat's tail begins, and the area of each of its 128 layers under exp(−x²/2). */
const tailStart = 3.442619855899;
const layerArea = 9.91256303526217e-3;
const width = new Float64Array(128);
const density = new Float64Array(128);
const inside = new Float64Array(128);
fillTables();

function fillTables(): void {
  const unit = 2 ** 31;
  let x = tailStart;
  const base = layerArea / Math.exp(-0.5 * x * x);
  inside[0] = (x / base) * unit;
  width[0] = base / unit;
  density[0] = 1;
  for (let i = 127; i >= 1; i--) {
    width[i] = x / unit;
    density[i] = Math.exp(-0.5 * x * x);
    const next = i === 1 ? 0 : Math.sqrt(-2 * Math.log(layerArea / x + Math.exp(-0.5 * x * x)));
    inside[i] = (next / x) * unit;
    x = next;
  }
}
