import { instantiate, type WasmKernels } from '../module.js';

/** The kernels with a memory of their own, and arrays in it for tests that call them without tensors. */
export class Buffers {
  readonly wasm: WasmKernels;
  readonly #memory = new WebAssembly.Memory({ initial: 1, maximum: 65_535 });
  #top: number;

  constructor(bytes: number, options: { readonly relaxed?: boolean } = {}) {
    this.wasm = instantiate(this.#memory, options);
    this.#top = this.wasm.arenaBase();
    this.#memory.grow(Math.ceil((this.#top + bytes) / 65_536));
  }

  /** A copy of `values`, padded by a vector that holds NaN: whoever reads beyond the values shows it. */
  floats(values: ArrayLike<number>): Float32Array {
    const array = new Float32Array(this.#memory.buffer, this.#take(4 * values.length), values.length);
    array.set(values);
    return array;
  }

  integers(values: ArrayLike<number>): Int32Array {
    const array = new Int32Array(this.#memory.buffer, this.#take(4 * values.length), values.length);
    array.set(values);
    return array;
  }

  #take(bytes: number): number {
    const offset = this.#top;
    this.#top = Math.ceil((offset + bytes) / 16) * 16 + 16;
    new Float32Array(this.#memory.buffer, offset, (this.#top - offset) / 4).fill(Number.NaN);
    return offset;
  }
}
