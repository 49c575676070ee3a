import { randomUUID } from 'node:crypto';
import { closeSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';

/** Where the system keeps files in memory. */
const FOLDER = '/dev/shm';
const PAGE_BYTES = 4096;
const FREE = 0;

/**
 * Memory that a coordinator shares with the workers that it started itself: a file in memory without a name, which they
 * inherit as an open descriptor and which is gone with the last of them. It holds flat arrays; that a piece of one is
 * there, gRPC tells. Ordinary reads and writes move the data, 4 GB/s where gRPC moves 0.7 (docs/performance.md).
 */
export class SharedMemory {
  private constructor(readonly descriptor: number) {}

  /** @returns null where the system has no files in memory */
  static create(): SharedMemory | null {
    const path = `${FOLDER}/manyhands-${randomUUID()}`;
    let descriptor: number;
    try {
      descriptor = openSync(path, 'wx+', 0o600);
    } catch {
      return null;
    }
    unlinkSync(path);
    return new SharedMemory(descriptor);
  }

  static inherited(descriptor: number): SharedMemory {
    return new SharedMemory(descriptor);
  }

  /** Takes the room of `count` arrays of `size` values; returns whether there is as much. */
  reserve(size: number, count: number): boolean {
    const zeros = new Uint8Array(256 * PAGE_BYTES);
    const end = count * strideOf(size);
    try {
      for (let at = 0; at < end; at += zeros.length) {
        writeSync(this.descriptor, zeros, 0, Math.min(zeros.length, end - at), at);
      }
      return true;
    } catch {
      return false;
    }
  }

  /** Array number `index` of those with `size` values. */
  tensor(index: number, size: number): SharedTensor {
    return new SharedTensor(this.descriptor, index * strideOf(size));
  }

  close(): void {
    closeSync(this.descriptor);
  }
}

/** One flat array in shared memory. A tag, a whole number from 0 on, names what it holds; it may be free instead. */
export class SharedTensor {
  private readonly tag = new Float64Array(1);

  constructor(
    private readonly descriptor: number,
    /** Of its page with the tag, after which the values come. */
    private readonly start: number,
  ) {}

  get free(): boolean {
    return this.readTag() === FREE;
  }

  /** From here on it holds `tag`, and nothing else any more. */
  take(tag: number): void {
    this.writeTag(tag + 1);
  }

  /** As `release`, where it still holds `tag`. */
  give(tag: number): void {
    if (this.readTag() === tag + 1) this.release();
  }

  release(): void {
    this.writeTag(FREE);
  }

  /** Writes values of `tag` from number `from` on; returns whether the array is still its. */
  write(tag: number, from: number, values: Float32Array): boolean {
    if (this.readTag() !== tag + 1) return false;
    const at = this.position(from);
    if (writeSync(this.descriptor, values, 0, values.byteLength, at) !== values.byteLength) {
      throw new Error('the shared memory is shorter than what it holds');
    }
    return true;
  }

  /** Reads values of `tag` from number `from` on; returns whether the array was its until the last one was read. */
  read(tag: number, from: number, target: Float32Array): boolean {
    const count = readSync(this.descriptor, target, 0, target.byteLength, this.position(from));
    return count === target.byteLength && this.readTag() === tag + 1;
  }

  private position(from: number): number {
    return this.start + PAGE_BYTES + from * Float32Array.BYTES_PER_ELEMENT;
  }

  private readTag(): number {
    const count = readSync(this.descriptor, this.tag, 0, this.tag.byteLength, this.start);
    return count === this.tag.byteLength ? this.tag[0] : Number.NaN;
  }

  private writeTag(value: number): void {
    this.tag[0] = value;
    writeSync(this.descriptor, this.tag, 0, this.tag.byteLength, this.start);
  }
}

function strideOf(size: number): number {
  const bytes = size * Float32Array.BYTES_PER_ELEMENT;
  return PAGE_BYTES + Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}
