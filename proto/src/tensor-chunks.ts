import { crc32 } from 'node:zlib';
import type { TensorChunk__Output } from './generated/manyhands/v1/TensorChunk.js';

/** Bytes in one message: large enough for speed, small enough that a heartbeat never waits long behind it. */
export const CHUNK_BYTES = 1024 * 1024;

export class TensorError extends Error {
  override readonly name = 'TensorError';
}

export interface Chunk {
  version: number;
  offset: number;
  total: number;
  data: Buffer;
  checksum: number;
}

/** Cuts a flat array into messages, in order. The data are views: the array must not change until they are sent. */
export function* chunksOf(values: Float32Array, version: number): Generator<Chunk> {
  const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  for (let offset = 0; offset < bytes.length; offset += CHUNK_BYTES) {
    const data = bytes.subarray(offset, offset + CHUNK_BYTES);
    yield { version, offset, total: bytes.length, data, checksum: crc32(data) };
  }
}

/** Puts the chunks of one array together; they must come in order, whole and undamaged. */
export class TensorAssembler {
  private readonly bytes: Uint8Array;
  private version = 0;
  private filled = 0;

  /** @param target receives the values; its size is what the sender must announce. */
  constructor(target: Float32Array) {
    this.bytes = new Uint8Array(target.buffer, target.byteOffset, target.byteLength);
  }

  /**
   * Takes one chunk; returns true with the last one, after which the next array may begin.
   * @throws TensorError where a chunk is out of order, of another version or size, or damaged
   */
  add(chunk: TensorChunk__Output): boolean {
    const { data } = chunk;
    if (chunk.total !== this.bytes.length) {
      throw new TensorError(
        `a tensor of ${chunk.total} bytes arrived where ${this.bytes.length} were expected`,
      );
    }
    if (this.filled === 0) this.version = chunk.version;
    if (chunk.version !== this.version || chunk.offset !== this.filled || data.length === 0) {
      throw new TensorError(
        `a chunk at byte ${chunk.offset} of version ${chunk.version} arrived where byte ${this.filled} of version ${this.version} was expected`,
      );
    }
    if (this.filled + data.length > this.bytes.length) {
      throw new TensorError(`a chunk reaches past the tensor's ${this.bytes.length} bytes`);
    }
    if (crc32(data) !== chunk.checksum) {
      throw new TensorError(`the chunk at byte ${chunk.offset} of version ${chunk.version} arrived damaged`);
    }
    this.bytes.set(data, this.filled);
    this.filled += data.length;
    if (this.filled < this.bytes.length) return false;
    this.filled = 0;
    return true;
  }
}
