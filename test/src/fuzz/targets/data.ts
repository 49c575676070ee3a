import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encoderSpec } from '@manyhands/coordinator';
import {
  evaluationWindows,
  type Manifest,
  openTokenData,
  prepare,
  sampleWindows,
} from '@manyhands/core/data';
import { trainChar } from '@manyhands/tokenizer';
import { textOf } from '../mutate.js';
import type { Target } from '../target.js';
import { temporaryFolder } from './folder.js';

const HEADER_BYTES = 128;
const CONTEXT = 8;

/** A small prepared folder; what made it. */
async function prepared() {
  const { folder, close } = temporaryFolder();
  const text = 'the whale and the sea, and the captain of the white ship\n'.repeat(8);
  writeFileSync(join(folder, 'text.txt'), text);
  writeFileSync(join(folder, 'held-out.txt'), 'the captain of the sea\n'.repeat(4));
  const out = join(folder, 'data');
  const manifest = await prepare({
    sources: [
      {
        path: join(folder, 'text.txt'),
        weight: [
          [0, 1],
          [9, 2],
        ],
      },
      { path: join(folder, 'held-out.txt'), name: 'unseen', heldOut: true },
    ],
    encoder: encoderSpec((await trainChar([text])).toJson()),
    out,
    validation: 0.1,
    threads: 1,
  });
  return { out, manifest, close };
}

/** Reads windows as a run does. */
async function readAll(folder: string): Promise<void> {
  const data = await openTokenData(folder);
  try {
    const some = sampleWindows(data, { context: CONTEXT, seed: 1, step: 0, sequences: 4 });
    const kept = [false, true].flatMap((heldOut) =>
      evaluationWindows(data, 'validation', { context: CONTEXT, maximum: 4, heldOut }),
    );
    for (const window of [...some, ...kept]) data.tokens(window, CONTEXT);
  } finally {
    data.close();
  }
}

/** The hash over what a manifest names, as the data room defines it. */
function dataHash({ vocab, vocabHash, sources }: Manifest): string {
  const shards = (part: Manifest['sources'][number]['train']) =>
    part.shards.map(({ sha256, tokens }) => [sha256, tokens]);
  const identity = [
    'manyhands-tokens',
    vocab,
    vocabHash,
    sources.map(({ train, validation }) => [shards(train), shards(validation)]),
  ];
  return createHash('sha256').update(JSON.stringify(identity)).digest('hex');
}

const shard: Target = {
  form: 'bytes',
  share: 4,
  open: async () => {
    const { out, manifest, close } = await prepared();
    const [source, ...others] = manifest.sources;
    const [entry] = source.train.shards;
    return {
      seeds: [readFileSync(join(out, entry.file))],
      close,
      // The hashes of the payload and of the header, in this order.
      seal: (input) => {
        const bytes = Buffer.from(input);
        if (bytes.length < HEADER_BYTES) return bytes;
        createHash('sha256').update(bytes.subarray(HEADER_BYTES)).digest().copy(bytes, 64);
        createHash('sha256').update(bytes.subarray(0, 96)).digest().copy(bytes, 96);
        return bytes;
      },
      // The manifest believes what the shard says of itself.
      read: (input) => {
        writeFileSync(join(out, entry.file), input);
        const bytes = Buffer.from(input);
        const told =
          bytes.length < HEADER_BYTES
            ? entry
            : {
                ...entry,
                tokens: Number(bytes.readBigUInt64LE(16) % 2n ** 53n),
                sha256: bytes.toString('hex', 64, 96),
              };
        const train = { ...source.train, tokens: told.tokens, shards: [told] };
        const changed = { ...manifest, sources: [{ ...source, train }, ...others] };
        writeFileSync(
          join(out, 'manifest.json'),
          JSON.stringify({ ...changed, dataHash: dataHash(changed) }),
        );
        return readAll(out);
      },
    };
  },
};

const manifestFile: Target = {
  form: 'json',
  share: 4,
  open: async () => {
    const { out, close } = await prepared();
    const path = join(out, 'manifest.json');
    return {
      seeds: [readFileSync(path)],
      close,
      seal: (input) => {
        try {
          const changed = JSON.parse(textOf(input));
          return Buffer.from(JSON.stringify({ ...changed, dataHash: dataHash(changed) }, null, 2));
        } catch {
          return input;
        }
      },
      read: (input) => {
        writeFileSync(path, input);
        return readAll(out);
      },
    };
  },
};

/** Prepared data, which may come from elsewhere. */
export const dataTargets = { shard, manifest: manifestFile } as const satisfies Record<string, Target>;
