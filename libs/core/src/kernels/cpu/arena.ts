import { KernelError, type Shape, type Tensor } from '../kernels.js';
import { checkRange, type IndexRange, sizeOf } from '../shapes.js';

const PAGE = 65_536;
/** What 32-bit addresses reach; the last page stays free, so that no end of a tensor wraps round to 0. */
const MAXIMUM_BYTES = 2 ** 32 - PAGE;
/** A memory grows by this part of what it has, or more where more is needed. */
const GROWTH = 0.25;
/** Tensors begin on cache lines, which are the widest vectors too. */
const ALIGNMENT = 64;

/** A place in the memory: 64-byte aligned and padded to whole vectors. A program's tensors get theirs when it is linked. */
export class CpuTensor implements Tensor {
  alive = true;
  /** In bytes. */
  offset: number;
  /** In bytes, padded to whole vectors. */
  readonly bytes: number;

  constructor(
    readonly type: Tensor['type'],
    readonly shape: Shape,
    readonly serial: number,
    offset: number,
  ) {
    this.offset = offset;
    this.bytes = 16 * Math.ceil((4 * sizeOf(shape)) / 16);
  }

  get end(): number {
    return this.offset + align(this.bytes);
  }
}

/** A tensor of whole numbers, and what recorded operations ask of them whenever they change. */
export class IndexTensor extends CpuTensor {
  private readonly bounds: { what: string; from: number; below: number }[] = [];

  constructor(
    shape: Shape,
    serial: number,
    offset: number,
    public range: IndexRange,
  ) {
    super('index', shape, serial, offset);
  }

  /** @throws KernelError where a value lies outside, now or when others are written */
  demand(what: string, from: number, below: number): void {
    checkRange(what, this.range, from, below);
    this.bounds.push({ what, from, below });
  }

  /** @throws KernelError where a value lies outside of what was demanded */
  replace(range: IndexRange): void {
    for (const { what, from, below } of this.bounds) checkRange(what, range, from, below);
    this.range = range;
  }
}

/**
 * One WebAssembly memory, filled from the bottom: tensors are stacked in the order in which they are made, and
 * releasing them moves the top back. Memory once used is kept for the next tensors. Programs work above the top.
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

  /**
   * @param dry true: addresses are given out, but there is no memory behind them and nothing is written
   * @throws KernelError where `maximumBytes` is not a whole number up to 4 GiB
   */
  constructor(
    maximumBytes = MAXIMUM_BYTES,
    readonly dry = false,
  ) {
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
    this.require(this.#base);
  }

  /** The first byte above all tensors. */
  get top(): number {
    return this.#top;
  }

  /** A new tensor; its values are whatever lay there before. */
  make(shape: Shape): CpuTensor {
    return this.#keep(new CpuTensor('float', shape, this.#serial++, this.#top));
  }

  makeIndex(shape: Shape, range: IndexRange): IndexTensor {
    return this.#keep(new IndexTensor(shape, this.#serial++, this.#top, range));
  }

  /** Memory above the tensors, free until the next tensor is made or a program runs. Returns its address. */
  scratch(bytes: number): number {
    this.require(align(this.#top + bytes));
    return this.#top;
  }

  write({ offset }: CpuTensor, data: Float32Array | Float64Array): void {
    if (!this.dry) this.floats.set(data, offset / 4);
  }

  writeIndices({ offset }: IndexTensor, data: Int32Array): void {
    if (!this.dry) this.integers.set(data, offset / 4);
  }

  clear({ offset, bytes }: CpuTensor): void {
    if (!this.dry) this.floats.fill(0, offset / 4, (offset + bytes) / 4);
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

  /**
   * Grows the memory so that it has `bytes`.
   * @throws KernelError where that is more than it may use, or the system gives
   */
  require(bytes: number): void {
    const present = this.memory.buffer.byteLength;
    if (this.dry || bytes <= present) return;
    const wanted = Math.min(Math.max(bytes, present * (1 + GROWTH)), this.#maximumBytes);
    if (bytes > this.#maximumBytes || !(this.#grow(wanted - present) || this.#grow(bytes - present))) {
      const reason =
        bytes > this.#maximumBytes ? `may use ${megabytes(this.#maximumBytes)}` : 'the system gives no more';
      throw new KernelError(
        `the cpu backend needs ${megabytes(bytes)} for its tensors, but ${reason}: ` +
          'use smaller micro-batches (batch.microBatch), batch.recompute, a shorter context or a smaller model',
      );
    }
    this.floats = new Float32Array(this.memory.buffer);
    this.integers = new Int32Array(this.memory.buffer);
  }

  #keep<T extends CpuTensor>(tensor: T): T {
    this.require(tensor.end);
    this.#top = tensor.end;
    this.#live.push(tensor);
    return tensor;
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

export function align(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1e6)} MB`;
}
