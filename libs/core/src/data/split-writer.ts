import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../config/index.js';
import type { ManifestShard } from './manifest.js';
import { ShardWriter, type Tokens, type Width, wholeShard } from './shard.js';

export interface SplitWriterOptions {
  readonly dir: string;
  /** Shards are called `prefix.00000.bin`, `prefix.00001.bin`, … */
  readonly prefix: string;
  readonly width: Width;
  readonly vocabulary: string;
  readonly shardTokens: number;
  readonly finished: (file: string, kept: boolean) => void;
}

/** Name of a split's shard. */
export function shardFile(prefix: string, index: number): string {
  return `${prefix}.${String(index).padStart(5, '0')}.bin`;
}

/**
 * The shards of one split of one source. Blocks arrive in order; a shard is closed at the first block that fills it.
 * Whole shards that an earlier attempt left are kept: {@link takesOver} says which blocks they hold already.
 */
export class SplitWriter {
  readonly #options: SplitWriterOptions;
  readonly #shards: ManifestShard[];
  #kept: number;
  #current: ShardWriter | null = null;

  private constructor(options: SplitWriterOptions, shards: ManifestShard[], kept: number) {
    this.#options = options;
    this.#shards = shards;
    this.#kept = kept;
  }

  static async open(options: SplitWriterOptions): Promise<SplitWriter> {
    const shards: ManifestShard[] = [];
    let blocks = 0;
    for (;;) {
      const file = shardFile(options.prefix, shards.length);
      const header = await wholeShard(join(options.dir, file));
      if (!header || header.width !== options.width || header.vocabulary !== options.vocabulary) break;
      shards.push({ file, tokens: header.tokens, sha256: header.sha256 });
      blocks += header.blocks;
      options.finished(file, true);
    }
    return new SplitWriter(options, shards, blocks);
  }

  /** Whether a shard that was kept holds the next block; to be asked once for each block, in order. */
  takesOver(): boolean {
    if (this.#kept === 0) return false;
    this.#kept -= 1;
    return true;
  }

  /** Appends the next block that is not taken over. */
  async append(tokens: Tokens): Promise<void> {
    const { dir, prefix, width, vocabulary, shardTokens } = this.#options;
    this.#current ??= await ShardWriter.create(
      join(dir, shardFile(prefix, this.#shards.length)),
      width,
      vocabulary,
    );
    await this.#current.append(tokens);
    if (this.#current.tokens >= shardTokens) await this.#close();
  }

  /**
   * Closes the last shard.
   * @throws UserError where shards were kept of text that is there no more
   */
  async finish(): Promise<ManifestShard[]> {
    await this.#close();
    if (this.#kept > 0) {
      throw new UserError(
        `The text changed since ${this.#options.dir} was begun, though not its size or date: remove that folder.`,
      );
    }
    return this.#shards;
  }

  /** Gives up the shard that is not finished. */
  async abandon(): Promise<void> {
    await this.#current?.abandon();
    this.#current = null;
  }

  async #close(): Promise<void> {
    if (!this.#current) return;
    const shard = await this.#current.finish();
    this.#current = null;
    this.#shards.push(shard);
    this.#options.finished(shard.file, false);
  }
}

/** Removes shards and parts of shards that no manifest speaks for. */
export async function removeShards(dir: string, files: readonly string[]): Promise<void> {
  const ours = files.filter((file) => /^\d{3}\.(train|validation)\.\d{5}\.bin(\.part)?$/.test(file));
  await Promise.all(ours.map((file) => rm(join(dir, file), { force: true })));
}
