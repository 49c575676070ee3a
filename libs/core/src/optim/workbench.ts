import { wasmFunctions } from '../numeric/index.js';
import type { Rates } from './rates.js';
import type { Rule, Task } from './tasks.js';
import type { OptimizerState } from './types.js';

/** Flat arrays of one model; the gradient is only read. */
export interface FlatArrays {
  readonly weights: Float32Array;
  readonly gradient: Float32Array;
  readonly state: OptimizerState;
}

/** Floats that are copied at a time: what a thread works on stays in its second-level cache. */
const CHUNK = 8192;
const PAGE = 65_536;
/** With room to start one float later, and for one more where the number is odd. */
const AREA = CHUNK * 4 + 16;
const MOST_PAGES = 65_536;

/**
 * A small memory of WebAssembly in which one thread computes: pieces of the flat arrays are copied in and out, so these
 * may be of any size. float64 arithmetic in one fixed order, rounded once to float32: plain JavaScript's bits.
 */
export class Workbench {
  readonly #memory = new WebAssembly.Memory({ initial: 8, maximum: MOST_PAGES });
  readonly #wasm = wasmFunctions(
    'optimizer.wasm',
    ['adam', 'arenaBase', 'descend', 'momentum', 'orthogonalize', 'scratchBytes'],
    { memory: this.#memory },
  );
  readonly #sums = this.#wasm.arenaBase();
  readonly #gradient = this.#sums + 16;
  readonly #weights = this.#gradient + AREA;
  readonly #first = this.#weights + AREA;
  readonly #second = this.#first + AREA;
  /** float64, of a chunk or of a whole matrix. */
  readonly #direction = this.#second + AREA;
  #floats = new Float32Array(this.#memory.buffer);
  #measuring = true;

  /**
   * Moves the weights and the state of one task. Writes to `sums` the squares of the changes and of the weights before;
   * null: nobody wants them.
   * @throws RangeError where a matrix does not fit into 4 GiB beside what orthogonalising it needs
   */
  run(task: Task, arrays: FlatArrays, rates: Rates, sums: Float64Array | null): void {
    this.#reserve(this.#direction + CHUNK * 8);
    this.#measuring = sums !== null;
    new Float64Array(this.#memory.buffer, this.#sums, 2).fill(0);
    this.#rules[task.rule](task, arrays, rates);
    sums?.set(new Float64Array(this.#memory.buffer, this.#sums, 2));
  }

  /** Newton–Schulz on one matrix, row-major in place; see assembly/newton-schulz.ts. @throws RangeError as `run` does */
  orthogonalize(matrix: Float64Array, rows: number, columns: number): void {
    const values = () => new Float64Array(this.#memory.buffer, this.#direction, matrix.length);
    this.#reserveMatrix(rows, columns);
    values().set(matrix);
    this.#orthogonalize(rows, columns);
    matrix.set(values());
  }

  readonly #rules: Readonly<Record<Rule, (task: Task, arrays: FlatArrays, rates: Rates) => void>> = {
    adam: (task, { weights, gradient, state: { exp_avg: mean, exp_avg_sq: square } }, rates) => {
      const { factor, beta1, beta2, adamRate, adamRoot, eps } = rates;
      const keep = task.decay ? rates.keep : 1;
      for (const { from, at, count } of chunks(task)) {
        const g = this.#in(this.#gradient, gradient, from, count);
        const m = this.#in(this.#first, mean, at, count);
        const v = this.#in(this.#second, square, at, count);
        const direction = this.#direction;
        this.#wasm.adam(count, g, m, v, direction, factor, beta1, beta2, adamRate, adamRoot, eps);
        this.#out(m, mean, at, count);
        this.#out(v, square, at, count);
        this.#descend(weights, from, count, direction, 1, keep);
      }
    },

    momentum: (task, { weights, gradient, state }, rates) => {
      const keep = task.decay ? rates.keep : 1;
      for (const { from, at, count } of chunks(task)) {
        this.#velocity(gradient, from, state.momentum_buffer, at, count, this.#direction, rates);
        this.#descend(weights, from, count, this.#direction, rates.learningRate, keep);
      }
    },

    muon: (task, { weights, gradient, state }, rates) => {
      const { rows, columns } = task;
      const rate = rates.learningRate * 0.2 * Math.sqrt(Math.max(rows, columns));
      const keep = task.decay ? rates.keep : 1;
      this.#reserveMatrix(rows, columns);
      const direction = (from: number) => this.#direction + (from - task.from) * 8;
      for (const { from, at, count } of chunks(task)) {
        this.#velocity(gradient, from, state.momentum_buffer, at, count, direction(from), rates);
      }
      this.#orthogonalize(rows, columns);
      for (const { from, count } of chunks(task)) {
        this.#descend(weights, from, count, direction(from), rate, keep);
      }
    },
  };

  #velocity(
    gradient: Float32Array,
    from: number,
    buffer: Float32Array,
    at: number,
    count: number,
    direction: number,
    { factor, momentum, nesterov }: Rates,
  ): void {
    const g = this.#in(this.#gradient, gradient, from, count);
    const b = this.#in(this.#first, buffer, at, count);
    this.#wasm.momentum(count, g, b, direction, factor, momentum, nesterov ? 1 : 0);
    this.#out(b, buffer, at, count);
  }

  #descend(
    weights: Float32Array,
    from: number,
    count: number,
    direction: number,
    rate: number,
    keep: number,
  ): void {
    const w = this.#in(this.#weights, weights, from, count);
    this.#wasm.descend(count, w, direction, rate, keep, this.#measuring ? this.#sums : 0);
    this.#out(w, weights, from, count);
  }

  #orthogonalize(rows: number, columns: number): void {
    this.#wasm.orthogonalize(this.#direction, rows, columns, this.#scratch(rows, columns));
  }

  /** Behind the matrix, and the one entry more that an odd one may write. */
  #scratch(rows: number, columns: number): number {
    return Math.ceil((this.#direction + (rows * columns + 1) * 8) / 16) * 16;
  }

  #reserveMatrix(rows: number, columns: number): void {
    const end = this.#scratch(rows, columns) + this.#wasm.scratchBytes(Math.min(rows, columns));
    if (end > MOST_PAGES * PAGE) {
      throw new RangeError(
        `a matrix of ${rows} × ${columns} is too large for muon: its memory ends at 4 GiB`,
      );
    }
    this.#reserve(end);
  }

  #reserve(end: number): void {
    const missing = end - this.#memory.buffer.byteLength;
    if (missing <= 0) return;
    this.#memory.grow(Math.ceil(missing / PAGE));
    this.#floats = new Float32Array(this.#memory.buffer);
  }

  /**
   * Copies into `area` and returns where. Shared memory is copied eight bytes at a time only between places that are
   * equal modulo eight, and else byte by byte, six times slower.
   */
  #in(area: number, from: Float32Array, at: number, count: number): number {
    const part = from.subarray(at, at + count);
    const to = area + (part.byteOffset % 8);
    this.#floats.set(part, to / 4);
    return to;
  }

  #out(from: number, to: Float32Array, at: number, count: number): void {
    to.set(this.#floats.subarray(from / 4, from / 4 + count), at);
  }
}

function* chunks({ from, to, at }: Task): Generator<{ from: number; at: number; count: number }> {
  for (let done = 0; done < to - from; done += CHUNK) {
    yield { from: from + done, at: at + done, count: Math.min(CHUNK, to - from - done) };
  }
}
