import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { endianness } from 'node:os';
import { basename, dirname } from 'node:path';
import { UserError } from '../config/index.js';
import { errorCode, readFailure, syncDirectory, writeFailure } from './files.js';
import { remedy } from './manifest.js';

/**
 * A token shard: a header of 128 bytes, then the tokens, little-endian.
 *
 *     0  'MHTK'                              16  tokens, uint64
 *     4  version, uint32                     24  blocks of text it holds, uint64
 *     8  bytes per token, uint32: 2 or 4     32  sha256 of the vocabulary's hash
 *    12  0                                   64  sha256 of the payload
 *                                            96  sha256 of the 96 bytes before
 */
export const headerBytes = 128;
const magic = 'MHTK';
const version = 1;

export type Width = 2 | 4;
export type Tokens = Uint16Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

export interface ShardHeader {
  readonly width: Width;
  readonly tokens: number;
  /** Blocks of the source's split, in order: where a preparation that was interrupted goes on. */
  readonly blocks: number;
  /** sha256 of the vocabulary's hash, hex. */
  readonly vocabulary: string;
  /** sha256 of the payload, hex. */
  readonly sha256: string;
}

/** Bytes per token: two where every id of the vocabulary fits. */
export function tokenWidth(vocab: number): Width {
  return vocab <= 0x10000 ? 2 : 4;
}

export function vocabularyDigest(vocabHash: string): string {
  return createHash('sha256').update(vocabHash).digest('hex');
}

export function encodeHeader(header: ShardHeader): Buffer {
  const bytes = Buffer.alloc(headerBytes);
  bytes.write(magic, 0, 'latin1');
  bytes.writeUInt32LE(version, 4);
  bytes.writeUInt32LE(header.width, 8);
  bytes.writeBigUInt64LE(BigInt(header.tokens), 16);
  bytes.writeBigUInt64LE(BigInt(header.blocks), 24);
  bytes.write(header.vocabulary, 32, 'hex');
  bytes.write(header.sha256, 64, 'hex');
  createHash('sha256').update(bytes.subarray(0, 96)).digest().copy(bytes, 96);
  return bytes;
}

export function damagedShard(file: string, what: string): UserError {
  return new UserError(`${file} is damaged: ${what}; ${remedy(file)}.`);
}

/** @throws UserError that names `file` where the bytes are no header of this version, or a damaged one */
export function decodeHeader(bytes: Buffer, file: string): ShardHeader {
  if (bytes.length < headerBytes || bytes.toString('latin1', 0, 4) !== magic) {
    throw new UserError(
      `${file} is not a token shard: it does not begin with ${magic} and a header; ${remedy(file)}.`,
    );
  }
  if (bytes.readUInt32LE(4) !== version) {
    throw new UserError(
      `${file} is a token shard of version ${bytes.readUInt32LE(4)}; this program reads ${version}.`,
    );
  }
  const stored = bytes.toString('hex', 96, headerBytes);
  const computed = createHash('sha256').update(bytes.subarray(0, 96)).digest('hex');
  if (stored !== computed) {
    throw damagedShard(file, `its header's sha256 should be ${stored} and is ${computed}`);
  }
  const width = bytes.readUInt32LE(8);
  const tokens = Number(bytes.readBigUInt64LE(16));
  const blocks = Number(bytes.readBigUInt64LE(24));
  if (
    (width !== 2 && width !== 4) ||
    !Number.isSafeInteger(tokens * width) ||
    !Number.isSafeInteger(blocks)
  ) {
    throw damagedShard(file, `its header tells of ${tokens} tokens of ${width} bytes`);
  }
  return {
    width,
    tokens,
    blocks,
    vocabulary: bytes.toString('hex', 32, 64),
    sha256: bytes.toString('hex', 64, 96),
  };
}

/**
 * Reads a shard's header and holds it against the file's length.
 * @throws UserError where the file is missing, cut short or damaged
 */
export async function readHeader(path: string): Promise<ShardHeader> {
  try {
    const handle = await open(path, 'r');
    try {
      const bytes = Buffer.alloc(headerBytes);
      const { bytesRead } = await handle.read(bytes, 0, headerBytes, 0);
      const header = decodeHeader(bytes.subarray(0, bytesRead), path);
      const wanted = headerBytes + header.tokens * header.width;
      const { size } = await handle.stat();
      if (size === wanted) return header;
      throw damagedShard(path, `${header.tokens} tokens need ${wanted} bytes, it has ${size}`);
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw errorCode(error) === 'ENOENT'
      ? new UserError(`${path} is missing: ${remedy(path)}.`)
      : readFailure(error, path);
  }
}

/**
 * Reads a shard from end to end and checks every hash in it.
 * @throws UserError that names the file and both hashes where they differ
 */
export async function verifyShard(path: string): Promise<ShardHeader> {
  const header = await readHeader(path);
  const hash = createHash('sha256');
  const handle = await open(path, 'r');
  try {
    const bytes = Buffer.allocUnsafe(1 << 20);
    for (let position = headerBytes; ; ) {
      const { bytesRead } = await handle.read(bytes, 0, bytes.length, position);
      if (bytesRead === 0) break;
      hash.update(bytes.subarray(0, bytesRead));
      position += bytesRead;
    }
  } catch (error) {
    throw readFailure(error, path);
  } finally {
    await handle.close();
  }
  const computed = hash.digest('hex');
  if (computed === header.sha256) return header;
  throw damagedShard(path, `its tokens' sha256 should be ${header.sha256} and is ${computed}`);
}

/** Whether a file is there and a whole shard; damage is an answer here, not an error. */
export async function wholeShard(path: string): Promise<ShardHeader | null> {
  try {
    await stat(path);
    return await verifyShard(path);
  } catch (error) {
    if (error instanceof UserError || errorCode(error) === 'ENOENT') return null;
    throw error;
  }
}

/** Tokens as the bytes of a shard, without a copy. */
export function littleEndian(tokens: Tokens): Buffer {
  if (endianness() === 'BE')
    throw new UserError('token shards are little-endian; this processor is big-endian.');
  return Buffer.from(tokens.buffer, tokens.byteOffset, tokens.byteLength);
}

/** Writes one shard beside its final name; it appears under that name whole, flushed and hashed, or not at all. */
export class ShardWriter {
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #hash: Hash = createHash('sha256');
  readonly #width: Width;
  readonly #vocabulary: string;
  #tokens = 0;
  #blocks = 0;

  private constructor(path: string, handle: FileHandle, width: Width, vocabulary: string) {
    this.#path = path;
    this.#handle = handle;
    this.#width = width;
    this.#vocabulary = vocabulary;
  }

  /** @throws RunError where the disk is full, UserError where the folder cannot be written */
  static async create(path: string, width: Width, vocabulary: string): Promise<ShardWriter> {
    try {
      return new ShardWriter(path, await open(`${path}.part`, 'w'), width, vocabulary);
    } catch (error) {
      throw writeFailure(error, path);
    }
  }

  get tokens(): number {
    return this.#tokens;
  }

  /** Appends the tokens of one block. */
  async append(tokens: Tokens): Promise<void> {
    const bytes = littleEndian(tokens);
    await this.#write(bytes, headerBytes + this.#tokens * this.#width);
    this.#hash.update(bytes);
    this.#tokens += tokens.length;
    this.#blocks += 1;
  }

  async finish(): Promise<{ file: string; tokens: number; sha256: string }> {
    const sha256 = this.#hash.digest('hex');
    const header = {
      width: this.#width,
      tokens: this.#tokens,
      blocks: this.#blocks,
      vocabulary: this.#vocabulary,
      sha256,
    };
    await this.#write(encodeHeader(header), 0);
    try {
      await this.#handle.sync();
      await this.#handle.close();
      await rename(`${this.#path}.part`, this.#path);
      await syncDirectory(dirname(this.#path));
    } catch (error) {
      throw writeFailure(error, this.#path);
    }
    return { file: basename(this.#path), tokens: this.#tokens, sha256 };
  }

  /** Gives up: closes and removes what was written. */
  async abandon(): Promise<void> {
    await this.#handle.close();
    await rm(`${this.#path}.part`, { force: true });
  }

  async #write(bytes: Buffer, position: number): Promise<void> {
    try {
      for (let done = 0; done < bytes.length; ) {
        const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, position + done);
        done += bytesWritten;
      }
    } catch (error) {
      throw writeFailure(error, this.#path);
    }
  }
}
