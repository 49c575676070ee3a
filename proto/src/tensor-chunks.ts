import { crc32 } from 'node:zlib';
import type { PartialSum } from './generated/manyhands/v1/PartialSum.js';
import type { TensorChunk, TensorChunk__Output } from './generated/manyhands/v1/TensorChunk.js';
import type { SharedTensor } from './shared-memory.js';

/**
 * Flat arrays are cut at multiples of this many float32 values: large enough for speed, small enough that memory for a
 * message is used again by the allocator instead of being mapped anew, and that one is on its way while the next is made.
 */
export const CHUNK_VALUES = 64 * 1024;
export const CHUNK_BYTES = CHUNK_VALUES * Float32Array.BYTES_PER_ELEMENT;

export class TensorError extends Error {
  override readonly name = 'TensorError';
}

/** A piece of a flat array on the grid: values from … to−1. */
export interface Piece {
  readonly index: number;
  readonly from: number;
  readonly to: number;
}

/** Pieces of an array of `size` values. */
export function pieceCount(size: number): number {
  return Math.ceil(size / CHUNK_VALUES);
}

/** The grid over an array of `size` values, in order. */
export function piecesOf(size: number): Piece[] {
  return Array.from({ length: pieceCount(size) }, (_, index) => ({
    index,
    from: index * CHUNK_VALUES,
    to: Math.min(size, (index + 1) * CHUNK_VALUES),
  }));
}

/** A message that lies in memory as it goes over the wire. */
export interface Encoded {
  readonly wire: Buffer;
  /** Free for another message once this one has left. */
  readonly memory: ChunkMemory;
}

export type EncodedChunk = TensorChunk & Encoded;
export type EncodedPartialSum = PartialSum & Encoded;

/** Room for the fields before a chunk's data; a multiple of 8, so that the data can be read as numbers in place. */
const HEAD_BYTES = 56;

/*
 * Where a message arrives, gRPC's own 5 bytes come before it. With them the heads of both messages are multiples of 8
 * (40 and 56 bytes), for between plain and shared memory V8 copies what is not aligned alike byte by byte: 1.8 instead
 * of 10 GB/s. Hence the longest form of an assignment's number, and a short one of a chunk's length.
 */
const ASSIGNMENT_BYTES = 10;
const LENGTH_BYTES = 4;

/**
 * Memory of one message with a piece of a tensor. The data are written where they are sent from; the fields before them
 * are encoded by hand, as training.proto has them, in varints of fixed length.
 */
export class ChunkMemory {
  readonly values: Float32Array;
  private readonly memory: Buffer;

  /** @param length values that fit */
  constructor(length: number) {
    const bytes = new ArrayBuffer(HEAD_BYTES + length * Float32Array.BYTES_PER_ELEMENT);
    this.memory = Buffer.from(bytes);
    this.values = new Float32Array(bytes, HEAD_BYTES, length);
  }

  /** The message with what `values` holds: piece `piece` of an array of `size`. */
  chunk(version: number, piece: Piece, size: number): EncodedChunk {
    const fields = this.fields(piece, size);
    const { start } = this.head(version, fields);
    return { version, ...fields, wire: this.wire(start, fields), memory: this };
  }

  /** As `chunk`, as a part of the sum for an assignment. */
  partialSum(assignment: number, version: number, piece: Piece, size: number): EncodedPartialSum {
    const fields = this.fields(piece, size);
    const head = this.head(version, fields);
    const length = HEAD_BYTES + fields.data.length - head.start;
    const { start } = head
      .varint(length, LENGTH_BYTES)
      .tag(2, LENGTH_DELIMITED)
      .varint(assignment, ASSIGNMENT_BYTES)
      .tag(1, VARINT);
    return { assignment, chunk: { version, ...fields }, wire: this.wire(start, fields), memory: this };
  }

  private fields({ from, to }: Piece, size: number): Fields {
    const bytes = Float32Array.BYTES_PER_ELEMENT;
    const data = this.memory.subarray(HEAD_BYTES, HEAD_BYTES + (to - from) * bytes);
    return { offset: from * bytes, total: size * bytes, data, checksum: crc32(data) };
  }

  private wire(start: number, { data }: Fields): Buffer {
    return this.memory.subarray(start, HEAD_BYTES + data.length);
  }

  private head(version: number, { offset, total, checksum, data }: Fields) {
    return new BackwardWriter(this.memory, HEAD_BYTES)
      .varint(data.length, 5)
      .tag(4, LENGTH_DELIMITED)
      .fixed32(checksum)
      .tag(5, FIXED32)
      .varint(total, 8)
      .tag(3, VARINT)
      .varint(offset, 8)
      .tag(2, VARINT)
      .varint(version, 5)
      .tag(1, VARINT);
  }
}

interface Fields {
  readonly offset: number;
  readonly total: number;
  readonly data: Buffer;
  readonly checksum: number;
}

const VARINT = 0;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

/** Writes protobuf fields from their end to their beginning, so that they join what follows. */
class BackwardWriter {
  constructor(
    private readonly memory: Buffer,
    /** Where what was written begins. */
    public start: number,
  ) {}

  /** A number in `length` bytes of 7 bits, the lowest first; leading zeros are allowed. */
  varint(value: number, length: number): this {
    this.start -= length;
    for (let i = 0; i < length; i++) {
      const more = i < length - 1 ? 0x80 : 0;
      this.memory[this.start + i] = (Math.floor(value / 2 ** (7 * i)) % 128) | more;
    }
    return this;
  }

  fixed32(value: number): this {
    this.start -= 4;
    this.memory.writeUInt32LE(value, this.start);
    return this;
  }

  tag(field: number, type: number): this {
    this.start -= 1;
    this.memory[this.start] = (field << 3) | type;
    return this;
  }
}

/** The word that a piece of an array of `size` values is in shared memory. */
export function announce(version: number, { from }: Piece, size: number): TensorChunk {
  const bytes = Float32Array.BYTES_PER_ELEMENT;
  return { version, offset: from * bytes, total: size * bytes, shared: true };
}

/** Where the data of chunks that are only announced lie, and under which tag. */
export interface Place {
  readonly tensor: SharedTensor;
  readonly tag: number;
}

const scratch = new Float32Array(CHUNK_VALUES);

/**
 * Reads a chunk of an array of `size` values: its place on the grid and its values, which are valid until the next
 * call: a view where the message allows it. They are null where the array in shared memory holds something else by now.
 * @throws TensorError where it is off the grid, of an array of another size, damaged, or announced without a place
 */
export function readChunk(
  chunk: TensorChunk__Output,
  size: number,
  place: Place | null = null,
): { piece: Piece; values: Float32Array | null } {
  const { data, offset, total, version } = chunk;
  const bytes = Float32Array.BYTES_PER_ELEMENT;
  if (total !== size * bytes) {
    throw new TensorError(`a tensor of ${total} bytes arrived where ${size * bytes} were expected`);
  }
  const from = offset / bytes;
  const to = Math.min(size, from + CHUNK_VALUES);
  const length = chunk.shared ? 0 : (to - from) * bytes;
  if (offset % CHUNK_BYTES !== 0 || from >= size || data.length !== length) {
    throw new TensorError(
      `a chunk of ${data.length} bytes at byte ${offset} is no piece of a tensor of ${total} bytes`,
    );
  }
  const piece = { index: from / CHUNK_VALUES, from, to };
  if (chunk.shared) {
    if (place === null) throw new TensorError('a chunk was announced in memory that is not shared');
    const values = scratch.subarray(0, to - from);
    return { piece, values: place.tensor.read(place.tag, from, values) ? values : null };
  }
  if (crc32(data) !== chunk.checksum) {
    throw new TensorError(`the chunk at byte ${offset} of version ${version} arrived damaged`);
  }
  const whole = data.byteOffset % bytes === 0 ? data : Buffer.from(Uint8Array.from(data).buffer);
  return { piece, values: new Float32Array(whole.buffer, whole.byteOffset, to - from) };
}

/**
 * Puts the chunks of one version together; they must come in order, whole and undamaged. A version that shared memory
 * holds no more is let go: a later one is on its way.
 */
export class TensorAssembler {
  private version = 0;
  private filled = 0;

  /**
   * @param target receives the values; its size is what the sender must announce
   * @param shared where a version that is only announced lies, tagged with its number
   */
  constructor(
    private readonly target: Float32Array,
    private readonly shared: SharedTensor | null = null,
  ) {}

  /**
   * Takes one chunk; returns true with the last one, after which the next array may begin.
   * @throws TensorError where a chunk is out of order, of another version or size, or damaged
   */
  add(chunk: TensorChunk__Output): boolean {
    const place = this.shared && { tensor: this.shared, tag: chunk.version };
    const { piece, values } = readChunk(chunk, this.target.length, place);
    if (values === null) {
      this.filled = 0;
      return false;
    }
    if (this.filled === 0) this.version = chunk.version;
    if (chunk.version !== this.version || piece.from !== this.filled) {
      throw new TensorError(
        `a chunk at value ${piece.from} of version ${chunk.version} arrived where value ${this.filled} of version ${this.version} was expected`,
      );
    }
    this.target.set(values, piece.from);
    this.filled = piece.to;
    if (this.filled < this.target.length) return false;
    this.filled = 0;
    return true;
  }
}
