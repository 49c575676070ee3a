import { closeSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { UserError, type Weight } from '../config/index.js';
import {
  type Manifest,
  type ManifestShard,
  type ManifestSplit,
  readManifest,
  remedy,
  type SplitName,
} from './manifest.js';
import {
  headerBytes,
  readHeader,
  type ShardHeader,
  type Tokens,
  verifyShard,
  vocabularyDigest,
} from './shard.js';

/** Where a stretch of `context + 1` tokens begins. */
export interface Window {
  readonly split: SplitName;
  /** The source's number. */
  readonly source: number;
  /** The first token, counted within the source's split. */
  readonly offset: number;
}

/** What a split is made of; `bytes` of text ÷ `tokens` turns a loss into bits per byte. */
export type TokenSplit = Readonly<Pick<ManifestSplit, 'tokens' | 'bytes' | 'documents'>>;

export interface TokenSource {
  readonly name: string;
  readonly path: string;
  readonly weight: Weight;
  /** No training token: all of it is for validation, apart from the other sources. */
  readonly heldOut?: true | undefined;
  readonly train: TokenSplit;
  readonly validation: TokenSplit;
}

/** Tokens on disk. */
export interface TokenData {
  readonly dir: string;
  readonly vocab: number;
  readonly vocabHash: string;
  readonly endOfText: number | null;
  /** Equal hashes mean that every window names the same tokens. */
  readonly dataHash: string;
  readonly sources: readonly TokenSource[];
  /**
   * The `context + 1` tokens of a window; −1 beyond the end of its split.
   * @throws RangeError where the window lies nowhere in the data
   */
  tokens(window: Window, context: number): Int32Array;
  /** Closes the files. */
  close(): void;
}

export interface OpenOptions {
  /** Whether to read every shard from end to end and check its hash (about 1 s/GB). Default: true. */
  readonly verify?: boolean;
  /** Shards are held in memory up to so many bytes in all; what is larger is read where it lies. Default: 64 MiB. */
  readonly heldBytes?: number;
}

/**
 * Opens a prepared folder.
 * @throws UserError where the folder is not whole, or a shard is missing or damaged: names the file and the hashes
 */
export async function openTokenData(dir: string, options: OpenOptions = {}): Promise<TokenData> {
  const { verify = true, heldBytes = 64 << 20 } = options;
  const manifest = await readManifest(dir);
  const budget = { left: heldBytes };
  const sources: Record<SplitName, Shard[]>[] = [];
  const all: Shard[] = [];
  try {
    for (const source of manifest.sources) {
      const shards: Record<SplitName, Shard[]> = { train: [], validation: [] };
      for (const split of ['train', 'validation'] as const) {
        for (const entry of source[split].shards) {
          const path = join(dir, entry.file);
          const header = await (verify ? verifyShard(path) : readHeader(path));
          checkShard(path, header, entry, manifest);
          const shard = new Shard(path, header, budget);
          all.push(shard);
          shards[split].push(shard);
        }
      }
      sources.push(shards);
    }
  } catch (error) {
    for (const shard of all) shard.close();
    throw error;
  }
  return {
    dir,
    vocab: manifest.vocab,
    vocabHash: manifest.vocabHash,
    endOfText: manifest.endOfText,
    dataHash: manifest.dataHash,
    sources: manifest.sources,
    tokens: ({ split, source, offset }, context) => {
      const shards = sources[source]?.[split];
      if (!shards || !Number.isSafeInteger(offset) || offset < 0) {
        throw new RangeError(`no window at source ${source}, ${split}, offset ${offset}`);
      }
      return readTokens(shards, offset, context + 1);
    },
    close: () => {
      for (const shard of all) shard.close();
    },
  };
}

/** @throws UserError where a shard is not the one that the manifest speaks of */
export function checkShard(
  path: string,
  header: ShardHeader,
  entry: ManifestShard,
  manifest: Manifest,
): void {
  if (header.sha256 !== entry.sha256) {
    throw new UserError(
      `${path} is not the shard of its manifest: sha256 should be ${entry.sha256}, is ${header.sha256}; ${remedy(path)}.`,
    );
  }
  if (header.vocabulary !== vocabularyDigest(manifest.vocabHash) || header.tokens !== entry.tokens) {
    throw new UserError(
      `${path} is not the shard of its manifest: it was made with another vocabulary or is of another length; ${remedy(path)}.`,
    );
  }
}

function readTokens(shards: readonly Shard[], offset: number, count: number): Int32Array {
  const tokens = new Int32Array(count).fill(-1);
  let start = offset;
  let filled = 0;
  for (const shard of shards) {
    if (filled === count) break;
    if (start >= shard.tokens) {
      start -= shard.tokens;
      continue;
    }
    const length = Math.min(count - filled, shard.tokens - start);
    tokens.set(shard.read(start, length), filled);
    filled += length;
    start = 0;
  }
  return tokens;
}

class Shard {
  readonly tokens: number;
  readonly #path: string;
  readonly #width: 2 | 4;
  readonly #held: boolean;
  #file: number | null;
  #contents: Tokens | null = null;

  constructor(path: string, header: ShardHeader, budget: { left: number }) {
    this.tokens = header.tokens;
    this.#path = path;
    this.#width = header.width;
    this.#file = openSync(path, 'r');
    const size = header.tokens * header.width;
    this.#held = size <= budget.left;
    if (this.#held) budget.left -= size;
  }

  read(start: number, length: number): Tokens {
    if (!this.#held) return this.#readFile(start, length);
    this.#contents ??= this.#readFile(0, this.tokens);
    return this.#contents.subarray(start, start + length);
  }

  close(): void {
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
  }

  #readFile(start: number, length: number): Tokens {
    if (this.#file === null) throw new Error(`${this.#path} is closed`);
    const tokens = this.#width === 2 ? new Uint16Array(length) : new Uint32Array(length);
    const bytes = new Uint8Array(tokens.buffer);
    for (let done = 0; done < bytes.length; ) {
      const position = headerBytes + start * this.#width + done;
      const read = readSync(this.#file, bytes, done, bytes.length - done, position);
      if (read === 0)
        throw new UserError(`${this.#path} became shorter while it was used: ${remedy(this.#path)}.`);
      done += read;
    }
    return tokens;
  }
}
