import { isDeepStrictEqual } from 'node:util';
import { makeOutputFolder, UserError } from '../config/index.js';
import { adoptSource, checkVocabulary } from './adopt.js';
import { type Block, blocksOf } from './blocks.js';
import { givenNames, uniqueName } from './clashes.js';
import { EncodeError, EncodePool } from './encode-pool.js';
import type { EncoderSpec } from './encoder.js';
import { dataHash, type Manifest, type ManifestSource } from './manifest.js';
import { weighed } from './mixture.js';
import { findNearDuplicates, type NearDuplicate } from './near-duplicates.js';
import { closeOutput, openOutput, planHash, type Settings } from './plan.js';
import { type Tokens, tokenWidth, vocabularyDigest } from './shard.js';
import { type PreparedSource, resolveSources, type SourceSpec, type TextSource } from './sources.js';
import { SplitWriter } from './split-writer.js';

export interface PrepareOptions {
  readonly sources: readonly SourceSpec[];
  readonly encoder: EncoderSpec;
  /** The folder for the shards; made where it is missing. */
  readonly out: string;
  /** The part of each text source that is kept for validation, in [0, 1); of a source that is held out it is all. */
  readonly validation: number;
  /** Takes the place of the sources' weights: in proportion to tokens^(1/temperature). Default: null, as they say. */
  readonly temperature?: number | null;
  /**
   * What becomes of texts kept for validation that are nearly those of a training document: they are told in the
   * manifest, left out as well, or not looked for at all. Default: report.
   */
  readonly nearDuplicates?: NearDuplicatePolicy;
  /** Threads that encode; the shards do not depend on it. Default: one a core, fewer where memory would pass 500 MB. */
  readonly threads?: number;
  /** A shard is closed at the first block that brings it to so many tokens. Default: 64 Mi. */
  readonly shardTokens?: number;
  /** Bytes of text that are encoded in one go. Default: 256 KiB. */
  readonly blockBytes?: number;
  /** Stops between two blocks; the shards that are finished are kept for the next time. */
  readonly signal?: AbortSignal;
  readonly report?: (event: PrepareEvent) => void;
}

export type NearDuplicatePolicy = 'ignore' | 'report' | 'drop';

export type PrepareEvent =
  /** After each block. A .jsonl file counts whole in `totalBytes`, only its texts in `bytes`. */
  | { readonly kind: 'progress'; readonly bytes: number; readonly totalBytes: number }
  | { readonly kind: 'shard'; readonly file: string; readonly kept: boolean }
  | { readonly kind: 'warning'; readonly text: string };

interface Job extends Settings {
  readonly specs: readonly SourceSpec[];
  readonly out: string;
  readonly pool: EncodePool;
  readonly signal: AbortSignal | undefined;
  /** Labels of the documents whose validation text is left out. */
  readonly dropped: ReadonlySet<string>;
  readonly report: (event: PrepareEvent) => void;
  /** Told of every block that is done. */
  readonly advance: (bytes: number) => void;
}

/**
 * Turns text into token shards and a manifest, in constant memory. The shards follow from the text, the encoder,
 * `validation`, `shardTokens` and `blockBytes` alone, never from the number of threads. Interrupted and called
 * again, it keeps the finished shards whose hashes hold and makes the rest; called again when all is done, it only
 * checks that. A source that is a folder prepared before keeps its split; its shards are linked or copied.
 * @returns the manifest; it is written last, so that a folder without one is known to be unfinished
 * @throws UserError for bad input or an `out` that holds other data; RunError where the disk is full; the signal's
 *   reason where it stops the work
 */
export async function prepare(options: PrepareOptions): Promise<Manifest> {
  const { validation, temperature = null, out, signal, report = () => {} } = options;
  if (!(validation >= 0 && validation < 1)) {
    throw new UserError(`data.validation is ${validation}: it must be a number from 0, below 1.`);
  }
  const sources = await resolveSources(options.sources);
  if (sources.every(({ heldOut }) => heldOut)) {
    throw new UserError('Every source is held out: there is nothing to learn from.');
  }
  makeOutputFolder(out);
  const pool = await EncodePool.start(options.encoder, options.threads ?? null);
  try {
    const vocabulary = pool.info;
    for (const source of sources) {
      if (source.kind === 'prepared') checkVocabulary(source.path, source.manifest, vocabulary);
    }
    const { shardTokens = 1 << 26, blockBytes = 1 << 18 } = options;
    const { nearDuplicates = 'report' } = options;
    const settings: Settings = {
      validation,
      shardTokens,
      blockBytes,
      vocabulary,
      ...(nearDuplicates === 'drop' && { nearDuplicates }),
    };
    const plan = planHash(sources, settings);
    const finished = await openOutput(out, plan, (text) => report({ kind: 'warning', text }));
    if (finished) return await reweigh(out, finished, weighed(finished.sources, sources, temperature));
    const duplicates = await lookForDuplicates(sources, validation, nearDuplicates, signal);
    const dropped = new Set(nearDuplicates === 'drop' ? duplicates?.map(({ document }) => document) : []);
    const advance = progress(sources, report);
    const job: Job = { ...settings, specs: options.sources, out, pool, signal, dropped, report, advance };
    const made = weighed(await prepareSources(sources, job), sources, temperature);
    const contents = { vocab: vocabulary.vocabSize, vocabHash: vocabulary.hash, sources: made };
    return await closeOutput(out, {
      format: 'manyhands-tokens',
      version: 1,
      plan,
      endOfText: vocabulary.endOfText,
      validation,
      dataHash: dataHash(contents),
      ...contents,
      ...(duplicates && {
        nearDuplicates: {
          found: duplicates.length,
          dropped: nearDuplicates === 'drop',
          pairs: duplicates.slice(0, toldDuplicates),
        },
      }),
    });
  } finally {
    await pool.end();
  }
}

/** Pairs that a manifest names, the most alike first. */
const toldDuplicates = 20;

/** null where there is nothing to compare: no validation, no text, or nobody asked. */
async function lookForDuplicates(
  sources: readonly (TextSource | PreparedSource)[],
  validation: number,
  policy: NearDuplicatePolicy,
  signal: AbortSignal | undefined,
): Promise<readonly NearDuplicate[] | null> {
  const texts = sources.filter((source) => source.kind === 'text');
  const nothingKept = validation === 0 && !texts.some(({ heldOut }) => heldOut);
  if (policy === 'ignore' || nothingKept || texts.length === 0) return null;
  return (await findNearDuplicates(texts, validation, signal)).found;
}

async function prepareSources(
  sources: readonly (TextSource | PreparedSource)[],
  job: Job,
): Promise<Omit<ManifestSource, 'weight'>[]> {
  const given = givenNames(job.specs);
  const names = new Set(given);
  const made: Omit<ManifestSource, 'weight'>[] = [];
  for (const source of sources) {
    if (source.kind === 'text') {
      // A name that follows from a path may be that of a source inside of a prepared folder, too.
      const name = given.has(source.name) ? source.name : uniqueName(source.name, names);
      made.push(await prepareText({ ...source, name }, prefixOf(made.length), job));
      continue;
    }
    const { name, path, manifest } = source;
    for (const inner of manifest.sources) {
      const heldOut = source.heldOut || inner.heldOut === true;
      const own = name === null ? inner.name : `${name}/${inner.name}`;
      made.push({
        name: name !== null && manifest.sources.length === 1 ? name : uniqueName(own, names),
        path: inner.path,
        ...(heldOut && { heldOut }),
        ...(await adoptSource(path, inner, heldOut, job.out, prefixOf(made.length))),
      });
    }
  }
  return made;
}

function prefixOf(source: number): string {
  return String(source).padStart(3, '0');
}

/** Weights may change without a new preparation. */
async function reweigh(out: string, manifest: Manifest, sources: ManifestSource[]): Promise<Manifest> {
  if (isDeepStrictEqual(manifest.sources, sources)) return manifest;
  return closeOutput(out, { ...manifest, sources });
}

function progress(sources: readonly (TextSource | PreparedSource)[], report: (event: PrepareEvent) => void) {
  const files = sources.flatMap((source) => (source.kind === 'text' ? source.files : []));
  const totalBytes = files.reduce((sum, file) => sum + file.size, 0);
  let done = 0;
  return (bytes: number) => {
    done += bytes;
    report({ kind: 'progress', bytes: done, totalBytes });
  };
}

async function prepareText(
  source: TextSource,
  prefix: string,
  job: Job,
): Promise<Omit<ManifestSource, 'weight'>> {
  const open = (split: string) =>
    SplitWriter.open({
      dir: job.out,
      prefix: `${prefix}.${split}`,
      width: tokenWidth(job.vocabulary.vocabSize),
      vocabulary: vocabularyDigest(job.vocabulary.hash),
      shardTokens: job.shardTokens,
      finished: (file, kept) => job.report({ kind: 'shard', file, kept }),
    });
  const splits = {
    train: { writer: await open('train'), bytes: 0, documents: 0 },
    validation: { writer: await open('validation'), bytes: 0, documents: 0 },
  };
  const pending: { block: Block; bytes: number; tokens: Promise<Tokens> | null }[] = [];
  const cuts: Cuts = new Map();
  const settle = async () => {
    const next = pending.shift();
    if (!next) return;
    const split = splits[next.block.split];
    if (next.tokens) await split.writer.append(await named(next.tokens, next.block));
    split.bytes += next.bytes;
    split.documents += next.block.documents;
    job.advance(next.bytes);
  };
  try {
    for await (const block of blocksOf(source, job.validation, job.blockBytes, job.dropped)) {
      job.signal?.throwIfAborted();
      countCuts(block, cuts);
      const bytes = block.bytes.length; // before they move to a thread
      const taken = splits[block.split].writer.takesOver();
      const tokens = taken ? null : job.pool.encode({ bytes: block.bytes, pieces: block.pieces });
      tokens?.catch(() => {}); // told where it is awaited, in order
      pending.push({ block, bytes, tokens });
      // Two blocks a thread: one in work, one that waits; more would only cost memory.
      if (pending.length >= 2 * job.pool.size) await settle();
    }
    while (pending.length > 0) await settle();
    warnOfCuts(cuts, job);
    const result = async ({ writer, bytes, documents }: (typeof splits)['train']) => {
      const shards = await writer.finish();
      return { tokens: shards.reduce((sum, shard) => sum + shard.tokens, 0), bytes, documents, shards };
    };
    const [train, validation] = [await result(splits.train), await result(splits.validation)];
    const { name, path, heldOut } = source;
    if (train.tokens + validation.tokens === 0) {
      const left = job.dropped.size > 0 ? ' but what is nearly the same as other text' : '';
      throw new UserError(`${path} holds no text${left}.`);
    }
    return { name, path, ...(heldOut && { heldOut }), train, validation };
  } finally {
    await Promise.all([splits.train.writer.abandon(), splits.validation.writer.abandon()]);
  }
}

/** An encoder's refusal, with the place in the text. */
async function named(tokens: Promise<Tokens>, block: Block): Promise<Tokens> {
  try {
    return await tokens;
  } catch (error) {
    if (!(error instanceof EncodeError)) throw error;
    const piece = block.pieces[error.piece];
    throw new UserError(`${piece.label} cannot be encoded (after byte ${piece.offset}): ${error.message}`);
  }
}

/** Where words were cut for want of a space, by document: how often, and the first place. */
type Cuts = Map<string, { count: number; readonly first: number }>;

function countCuts({ pieces }: Block, cuts: Cuts): void {
  for (const { label, offset, length, forced } of pieces) {
    if (!forced) continue;
    const known = cuts.get(label);
    if (known) known.count += 1;
    else cuts.set(label, { count: 1, first: offset + length });
  }
}

function warnOfCuts(cuts: Cuts, job: Job): void {
  for (const [label, { count, first }] of cuts) {
    const all = count > 1 ? ` (${count} cuts in all)` : '';
    const text = `${label} has no space for 1 MiB before byte ${first}: a word was cut there${all}, so the tokens may differ.`;
    job.report({ kind: 'warning', text });
  }
}
