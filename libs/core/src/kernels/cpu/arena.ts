import { KernelError, type Shape, type Tensor } from '../kernels.js';
import { type IndexRange, sizeOf } from '../shapes.js';

const PAGE = 65_536;
/** What 32-bit addresses reach; the last page stays free, so that no end of a tensor wraps round to 0. */
const MAXIMUM_BYTES = 2 ** 32 - PAGE;
/** A memory grows by this part of what it has, or more where more is needed. */
const GROWTH = 0.25;

/** A tensor of the cpu backend: an offset into the memory, 16-byte aligned and padded. */
export class CpuTensor implements Tensor {
  alive = true;

  constructor(
    readonly type: Tensor['type'],
    readonly shape: Shape,
    readonly serial: number,
    /** In bytes, as `end`. */
    readonly offset: number,
    readonly end: number,
    /** Of an index tensor's values. */
    readonly range: IndexRange | null,
  ) {}

  /** In bytes, padded to whole vectors. */
  get bytes(): number {
    return this.end - this.offset;
  }
}

/**
 * One WebAssembly memory, filled from the bottom: tensors are stacked in the order in which they are made, and
 * releasing them moves the top back. Memory once used is kept for the next tensors.
 */
export class Arena {
  readonly memory: WebAssembly.Memory;
  /** Views of the whole memory, refreshed when it grows. */
  floats: Float32Array;
  integers: Int32Array;
  readonly #maximumBytes: number;
  #base = 0;
  #top = 0;
  #serial = 0;
  #live: CpuTensor[] = [];

  /** @throws KernelError where `maximumBytes` is not a whole number up to 4 GiB */
  constructor(maximumBytes = MAXIMUM_BYTES) {
    if (!Number.isSafeInteger(maximumBytes) || maximumBytes < PAGE || maximumBytes > MAXIMUM_BYTES) {
      throw new KernelError(`maximumBytes is ${maximumBytes}, but must be from ${PAGE} to ${MAXIMUM_BYTES}`);
    }
    this.#maximumBytes = Math.floor(maximumBytes / PAGE) * PAGE;
    this.memory = new WebAssembly.Memory({ initial: 1, maximum: this.#maximumBytes / PAGE });
    this.floats = new Float32Array(this.memory.buffer);
    this.integers = new Int32Array(this.memory.buffer);
  }

  /** Leaves the bytes below `base` to the kernels. */
  reserve(base: number): void {
    this.#base = align(base);
    this.#top = this.#base;
    this.#require(this.#base);
  }

  /** A new tensor; its values are whatever lay there before. */
  make(shape: Shape, type: Tensor['type'] = 'float', range: IndexRange | null = null): CpuTensor {
    const offset = this.#top;
    const end = align(offset + 4 * sizeOf(shape));
    this.#require(end);
    const tensor = new CpuTensor(type, shape, this.#serial++, offset, end, range);
    this.#top = end;
    this.#live.push(tensor);
    return tensor;
  }

  /** Memory above the tensors, free until the next tensor is made. Returns its address. */
  scratch(bytes: number): number {
    this.#require(align(this.#top + bytes));
    return this.#top;
  }

  mark(): number {
    return this.#serial;
  }

  release(mark: number): void {
    for (let last = this.#live.at(-1); last !== undefined && last.serial >= mark; last = this.#live.at(-1)) {
      last.alive = false;
      this.#live.pop();
    }
    this.#top = this.#live.at(-1)?.end ?? this.#base;
  }

  /** Grows the memory so that it has `bytes`. */
  #require(bytes: number): void {
    const present = this.memory.buffer.byteLength;
    if (bytes <= present) return;
    const wanted = Math.min(Math.max(bytes, present * (1 + GROWTH)), this.#maximumBytes);
    if (bytes > this.#maximumBytes || !(this.#grow(wanted - present) || this.#grow(bytes - present))) {
      const reason =
        bytes > this.#maximumBytes ? `may use ${megabytes(this.#maximumBytes)}` : 'the system gives no more';
      throw new KernelError(
        `the cpu backend needs ${megabytes(bytes)} for its tensors, but ${reason}: ` +
          'use smaller micro-batches (batch.microBatch), a shorter context or a smaller model',
      );
    }
    this.floats = new Float32Array(this.memory.buffer);
    this.integers = new Int32Array(this.memory.buffer);
  }

  #grow(bytes: number): boolean {
    try {
      this.memory.grow(Math.ceil(bytes / PAGE));
      return true;
    } catch {
      return false; // a RangeError: the system's limit
    }
  }
}

function align(bytes: number): number {
  return Math.ceil(bytes / 16) * 16;
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1e6)} MB`;
}
