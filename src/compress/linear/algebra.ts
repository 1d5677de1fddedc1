import { CadnnError, invariant } from "../../errors.ts";
import { detectFeatures } from "../../runtime/features.ts";
import { type ProductKernel, productModule, unit } from "./module.ts";

/** A matrix of doubles in the memory of its `LinearAlgebra`, row by row. Its rows are a multiple of 4 long and as many; what is beyond is 0. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  /** Elements from row to row. */
  readonly stride: number;
  /** All of it, padding included. */
  readonly data: Float64Array;
}

export const padded = (n: number): number => Math.ceil(n / unit) * unit;

/** Elements that a matrix takes. */
export const matrixSize = (rows: number, columns: number): number => padded(rows) * padded(columns);

const blockSize = 32;

/** Matrices of doubles in one WebAssembly memory, their products by generated code. Matrices live until `reset`. */
export class LinearAlgebra {
  #memory: WebAssembly.Memory;
  #kernel: ProductKernel;
  #capacity = 0;
  #used = 0;

  constructor() {
    [this.#memory, this.#kernel] = instantiate(1);
  }

  /** Forgets all matrices and makes room for so many elements. @throws `E_OUT_OF_MEMORY` */
  reset(elements: number): void {
    this.#used = 0;
    if (elements <= this.#capacity) return;
    [this.#memory, this.#kernel] = instantiate(Math.ceil((elements * 8) / 65536));
    this.#capacity = this.#memory.buffer.byteLength / 8;
  }

  /** A matrix of zeros. */
  matrix(rows: number, columns: number): Matrix {
    const size = matrixSize(rows, columns);
    invariant(this.#used + size <= this.#capacity, `${this.#used} + ${size} of ${this.#capacity} elements`);
    const data = new Float64Array(this.#memory.buffer, this.#used * 8, size).fill(0);
    this.#used += size;
    return { rows, columns, stride: padded(columns), data };
  }

  /** C += A · Bᵀ over the first `k` columns (a multiple of 2); with `lower` only what is on or below the diagonal, in blocks. */
  addProduct(a: Matrix, b: Matrix, c: Matrix, k: number, { lower = false }: { readonly lower?: boolean } = {}): void {
    const [m, n] = [padded(a.rows), padded(b.rows)];
    // A band of B that stays in the cache, and for it all of A.
    const band = Math.max(unit, Math.min(padded(n), padded(Math.floor(32768 / Math.max(k, 1)))));
    for (let j = 0; j < n; j += band) {
      const from = lower ? j : 0;
      this.#kernel.add(address(a, from), address(b, j), address(c, from, j), m - from, Math.min(band, n - j), k, a.stride * 8, b.stride * 8, c.stride * 8);
    }
  }

  /**
   * Replaces the lower triangle of a symmetric positive definite matrix by its Cholesky factor L, A = L Lᵀ, block by block.
   * Gives false where A is not positive definite to working precision.
   */
  factorize(a: Matrix, n = a.rows): boolean {
    const size = padded(n);
    for (let i = n; i < size; i++) a.data[i * a.stride + i] = 1;
    for (let start = 0; start < size; start += blockSize) {
      const width = Math.min(blockSize, size - start);
      if (start > 0) this.#kernel.subtract(address(a, start), address(a, start), address(a, start, start), size - start, width, start, a.stride * 8, a.stride * 8, a.stride * 8);
      if (!factorizeBlock(a, start, width)) return false;
      for (let i = start + width; i < size; i++) solveRow(a.data, i * a.stride + start, a, start, width);
    }
    return true;
  }

  /** Lᵀ, which `solve` reads backwards. */
  transpose(l: Matrix, into: Matrix): void {
    const n = padded(l.rows);
    for (let i = 0; i < n; i++) for (let j = 0; j <= i; j++) into.data[j * into.stride + i] = l.data[i * l.stride + j] as number;
  }

  /** Replaces each row x of X by the solution y of y · L Lᵀ = x, with `upper` = Lᵀ. */
  solve(l: Matrix, upper: Matrix, x: Matrix): void {
    const size = padded(l.rows);
    const rows = padded(x.rows);
    for (let start = 0; start < size; start += blockSize) {
      const width = Math.min(blockSize, size - start);
      if (start > 0) this.#kernel.subtract(address(x, 0), address(l, start), address(x, 0, start), rows, width, start, x.stride * 8, l.stride * 8, x.stride * 8);
      for (let r = 0; r < rows; r++) solveRow(x.data, r * x.stride + start, l, start, width);
    }
    for (let start = Math.floor((size - 1) / blockSize) * blockSize; start >= 0; start -= blockSize) {
      const width = Math.min(blockSize, size - start);
      const after = start + width;
      if (after < size)
        this.#kernel.subtract(address(x, 0, after), address(upper, start, after), address(x, 0, start), rows, width, size - after, x.stride * 8, upper.stride * 8, x.stride * 8);
      for (let r = 0; r < rows; r++) solveRowBackwards(x.data, r * x.stride + start, upper, start, width);
    }
  }
}

function instantiate(pages: number): [WebAssembly.Memory, ProductKernel] {
  try {
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const instance = new WebAssembly.Instance(new WebAssembly.Module(productModule(pages, detectFeatures().relaxedSimd)), { env: { memory } });
    return [memory, instance.exports as unknown as ProductKernel];
  } catch (cause) {
    throw new CadnnError("E_OUT_OF_MEMORY", `there is no room for ${Math.ceil(pages / 16)} MiB of matrices`, { hint: "Leave the layers with most inputs out.", cause });
  }
}

const address = (m: Matrix, row: number, column = 0): number => m.data.byteOffset + (row * m.stride + column) * 8;

/** Cholesky of the block on the diagonal at `start`, in place. */
function factorizeBlock({ data, stride }: Matrix, start: number, width: number): boolean {
  for (let i = start; i < start + width; i++)
    for (let j = start; j <= i; j++) {
      let sum = data[i * stride + j] as number;
      for (let k = start; k < j; k++) sum -= (data[i * stride + k] as number) * (data[j * stride + k] as number);
      if (i === j) {
        if (!(sum > 0)) return false;
        data[i * stride + i] = Math.sqrt(sum);
      } else data[i * stride + j] = sum / (data[j * stride + j] as number);
    }
  return true;
}

/** x ← x · L_b⁻ᵀ for `width` elements of `x` from `at` and the block L_b at `start`. */
function solveRow(x: Float64Array, at: number, { data, stride }: Matrix, start: number, width: number): void {
  for (let j = 0; j < width; j++) {
    const row = (start + j) * stride + start;
    let sum = x[at + j] as number;
    for (let k = 0; k < j; k++) sum -= (x[at + k] as number) * (data[row + k] as number);
    x[at + j] = sum / (data[row + j] as number);
  }
}

/** x ← x · L_b⁻¹, `upper` = Lᵀ. */
function solveRowBackwards(x: Float64Array, at: number, { data, stride }: Matrix, start: number, width: number): void {
  for (let j = width - 1; j >= 0; j--) {
    const row = (start + j) * stride + start;
    let sum = x[at + j] as number;
    for (let k = j + 1; k < width; k++) sum -= (x[at + k] as number) * (data[row + k] as number);
    x[at + j] = sum / (data[row + j] as number);
  }
}
