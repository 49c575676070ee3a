import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { firstProblem, UserError, weightSchema } from '../config/index.js';
import { errorCode, readFailure } from './files.js';

/** Written last: a folder with a manifest is whole, one without is not. */
export const manifestName = 'manifest.json';

const count = z.int().min(0);
const hash = z.string().regex(/^[0-9a-f]{64}$/, 'no sha256 of 64 hex digits');

const shard = z.strictObject({
  /** A plain name inside the folder: a manifest from elsewhere cannot point out of it. */
  file: z.string().regex(/^[\w.-]{1,200}$/, 'no plain file name'),
  tokens: count,
  /** Of the payload, the tokens without the header. */
  sha256: hash,
});

const split = z.strictObject({
  tokens: count,
  /** Of UTF-8 text that the tokens were made from: for bits per byte. */
  bytes: count,
  documents: count,
  shards: z.array(shard).max(100_000),
});

const schema = z.strictObject({
  format: z.literal('manyhands-tokens'),
  version: z.literal(1),
  /** What the shards were made from and how; the same plan gives the same shards. */
  plan: hash,
  vocab: z
    .int()
    .min(1)
    .max(2 ** 31),
  vocabHash: z.string().min(1).max(200),
  endOfText: count.nullable(),
  validation: z.number().min(0).lt(1),
  dataHash: hash,
  sources: z
    .array(
      z.strictObject({
        name: z.string().min(1),
        path: z.string().min(1),
        /** 0 where it is held out. */
        weight: z.union([z.literal(0), weightSchema]),
        /** All of it is in `validation`. */
        heldOut: z.literal(true).optional(),
        train: split,
        validation: split,
      }),
    )
    .min(1),
  /** Texts kept for validation that are nearly a training document's; missing where they were not looked for. */
  nearDuplicates: z
    .strictObject({
      found: count,
      dropped: z.boolean(),
      /** The most alike ones, by the labels of their documents. */
      pairs: z
        .array(z.strictObject({ document: z.string(), of: z.string(), similarity: z.number().min(0).max(1) }))
        .max(100),
    })
    .optional(),
});

export type Manifest = z.infer<typeof schema>;
export type ManifestSource = Manifest['sources'][number];
export type ManifestSplit = z.infer<typeof split>;
export type ManifestShard = z.infer<typeof shard>;

/** What was found of near-duplicates, in one sentence; null where there are none. */
export function describeNearDuplicates({ nearDuplicates }: Pick<Manifest, 'nearDuplicates'>): string | null {
  if (nearDuplicates === undefined || nearDuplicates.found === 0) return null;
  const { found, dropped, pairs } = nearDuplicates;
  const [first] = pairs;
  const example = first && ` (${first.document} of ${first.of}, similarity ${first.similarity.toFixed(2)})`;
  const texts = found === 1 ? '1 text kept for validation is' : `${found} texts kept for validation are`;
  const end = dropped ? 'left out' : 'the validation loss looks better than it is';
  return `${texts} nearly the same as one that is trained on${example ?? ''}: ${end}`;
}

/** The splits of a source, in the order in which files and hashes name them. */
export const splitNames = ['train', 'validation'] as const;
export type SplitName = (typeof splitNames)[number];

/**
 * Reads the manifest of a prepared folder.
 * @throws UserError where there is none, or where it is not one that this version reads
 */
export async function readManifest(dir: string): Promise<Manifest> {
  const file = join(dir, manifestName);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (errorCode(error) !== 'ENOENT' && errorCode(error) !== 'ENOTDIR') throw readFailure(error, file);
    throw new UserError(`${dir} is not a folder of prepared data: it has no ${manifestName}.`);
  }
  return parseManifest(text, file);
}

/** What to do about a damaged file of a prepared folder. */
export function remedy(file: string): string {
  return `delete the folder ${dirname(file)} and prepare the data again (in a run, --resume does so)`;
}

export function parseManifest(text: string, file: string): Manifest {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new UserError(`${file} is damaged (not JSON): ${remedy(file)}.`);
  }
  const result = schema.safeParse(json);
  if (result.success) {
    const known = dataHash(result.data);
    if (known === result.data.dataHash) return result.data;
    throw new UserError(
      `${file} is damaged: its data hash is ${result.data.dataHash}, its contents give ${known}; ${remedy(file)}.`,
    );
  }
  throw new UserError(
    `${file} is damaged or of another version: ${firstProblem(result.error)}; ${remedy(file)}.`,
  );
}

/**
 * One hash for all tokens: of the vocabulary, and of each source's shards (hash and count) in order. Equal hashes mean
 * that every window names the same tokens. Names and weights are no part of it.
 */
export function dataHash(data: Pick<Manifest, 'vocab' | 'vocabHash' | 'sources'>): string {
  const shards = (part: ManifestSplit) => part.shards.map(({ sha256, tokens }) => [sha256, tokens]);
  const identity = [
    'manyhands-tokens',
    data.vocab,
    data.vocabHash,
    data.sources.map((source) => splitNames.map((name) => shards(source[name]))),
  ];
  return createHash('sha256').update(JSON.stringify(identity)).digest('hex');
}
