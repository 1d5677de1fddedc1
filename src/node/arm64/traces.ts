/** Straight code as the emulator translates it, in one interval. */
export interface Block {
  readonly address: number;
  readonly runs: number;
  readonly words: readonly number[];
}

/** Pieces of code that run one after another, about equally often. */
export interface Trace {
  readonly runs: number;
  readonly words: readonly number[];
  /** Whether its end leads back to its beginning. */
  readonly loop: boolean;
}

/** Code whose instructions all ran equally often; a branch can only be the last one. */
type Piece = Block;

/** Runs that differ by less count as equal. */
const tolerance = 0.02;

const alike = (a: Piece, b: Piece): boolean => Math.abs(a.runs - b.runs) <= tolerance * Math.max(a.runs, b.runs);

/** Branches, and system instructions, after which it does no harm to begin a new piece. */
const endsPiece = (word: number): boolean => ((word >>> 26) & 7) === 5;

/**
 * The code of an interval as pieces. Translated blocks overlap, as each begins wherever something jumped to, and their ends depend on where pages end; runs of
 * single instructions do not.
 */
export function piecesOf(blocks: readonly Block[]): Piece[] {
  const layers: Map<number, { readonly word: number; runs: number }>[] = [];
  for (const { address, runs, words } of blocks) {
    // Code that replaced other code at the same address lies in a layer of its own.
    let layer = layers.find((l) => words.every((word, i) => (l.get(address + 4 * i)?.word ?? word) === word));
    if (layer === undefined) {
      layer = new Map();
      layers.push(layer);
    }
    for (const [i, word] of words.entries()) {
      const known = layer.get(address + 4 * i);
      if (known === undefined) layer.set(address + 4 * i, { word, runs });
      else known.runs += runs;
    }
  }
  return layers.flatMap((layer) => {
    const pieces: { address: number; runs: number; words: number[] }[] = [];
    let end = Number.NaN;
    for (const [address, { word, runs }] of [...layer].sort(([a], [b]) => a - b)) {
      const last = pieces.at(-1);
      if (last !== undefined && address === end && last.runs === runs && !endsPiece(last.words.at(-1) as number)) last.words.push(word);
      else pieces.push({ address, runs, words: [word] });
      end = address + 4;
    }
    return pieces;
  });
}

const endOf = (piece: Piece): number => piece.address + 4 * piece.words.length;

/** Where the last instruction of a piece may jump to, as far as it says. */
export function jumpOf(piece: Piece): number | undefined {
  const word = piece.words.at(-1) as number;
  const from = endOf(piece) - 4;
  const offset = (shift: number, bits: number): number => from + 4 * ((word << (32 - bits - shift)) >> (32 - bits));
  if ((word & 0x7c000000) === 0x14000000) return offset(0, 26); // b, bl
  if ((word & 0x7e000000) === 0x34000000 || (word & 0xfe000000) >>> 0 === 0x54000000) return offset(5, 19); // cbz, cbnz, b.cond
  if ((word & 0x7e000000) === 0x36000000) return offset(5, 14); // tbz, tbnz
  return undefined;
}

/** Joins pieces into traces, so that a loop's body is weighed as a whole. */
export function tracesOf(blocks: readonly Block[]): Trace[] {
  const pieces = piecesOf(blocks);
  const at = new Map<number, Piece>();
  for (const piece of pieces) {
    const other = at.get(piece.address);
    if (other === undefined || other.runs < piece.runs) at.set(piece.address, piece);
  }
  const successors = new Map(
    pieces.map((piece): [Piece, Piece | undefined] => {
      const next = [endOf(piece), jumpOf(piece)].map((address) => (address === undefined ? undefined : at.get(address)));
      return [piece, next.find((p) => p !== undefined && p !== piece && alike(p, piece))];
    }),
  );
  const preceded = new Set(successors.values());
  const taken = new Set<Piece>();
  const traces: Trace[] = [];
  // Those that nothing leads to first; what is left then are cycles.
  for (const head of [...pieces.filter((p) => !preceded.has(p)), ...pieces]) {
    const chain: Piece[] = [];
    for (let piece: Piece | undefined = head; piece !== undefined && !taken.has(piece); piece = successors.get(piece)) {
      chain.push(piece);
      taken.add(piece);
    }
    const last = chain.at(-1);
    if (last === undefined) continue;
    const instructions = chain.reduce((n, p) => n + p.words.length, 0);
    traces.push({
      runs: chain.reduce((n, p) => n + p.runs * p.words.length, 0) / instructions,
      words: chain.flatMap((p) => p.words),
      loop: head.address === jumpOf(last) || head.address === endOf(last),
    });
  }
  return traces;
}
