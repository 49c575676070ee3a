import { constants } from 'node:fs';
import { copyFile, link, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../config/index.js';
import type { EncoderInfo } from './encoder.js';
import { syncDirectory, writeFailure } from './files.js';
import type { Manifest, ManifestShard, ManifestSource, ManifestSplit, SplitName } from './manifest.js';
import { damagedShard, verifyShard, wholeShard } from './shard.js';
import { shardFile } from './split-writer.js';

/** @throws UserError where a folder was prepared with another vocabulary than the one in use */
export function checkVocabulary(path: string, manifest: Manifest, vocabulary: EncoderInfo): void {
  const { vocab, vocabHash } = manifest;
  if (vocabHash === vocabulary.hash && vocab === vocabulary.vocabSize) return;
  throw new UserError(
    `${path} was prepared with another tokenizer (${vocab} tokens, ${vocabHash.slice(0, 12)}…) than the one in use ` +
      `(${vocabulary.vocabSize} tokens, ${vocabulary.hash.slice(0, 12)}…): prepare its text again, or use its tokenizer.`,
  );
}

/**
 * Takes a prepared source over: links its shards into `dir`, or copies them to another disk. Where it is held out, its
 * training shards become part of what is kept for validation.
 * @throws UserError where a shard is missing or damaged
 */
export async function adoptSource(
  from: string,
  source: ManifestSource,
  heldOut: boolean,
  dir: string,
  prefix: string,
): Promise<Pick<ManifestSource, SplitName>> {
  const { train, validation } = source;
  const adopt = (parts: readonly ManifestSplit[], split: SplitName) =>
    adoptSplit(from, parts, dir, `${prefix}.${split}`);
  const adopted = heldOut
    ? { train: await adopt([], 'train'), validation: await adopt([train, validation], 'validation') }
    : { train: await adopt([train], 'train'), validation: await adopt([validation], 'validation') };
  await syncDirectory(dir);
  return adopted;
}

async function adoptSplit(
  from: string,
  parts: readonly ManifestSplit[],
  dir: string,
  prefix: string,
): Promise<ManifestSplit> {
  const shards: ManifestShard[] = [];
  for (const shard of parts.flatMap((part) => part.shards)) {
    const file = shardFile(prefix, shards.length);
    const target = join(dir, file);
    if ((await wholeShard(target))?.sha256 !== shard.sha256) {
      const origin = join(from, shard.file);
      const { sha256 } = await verifyShard(origin);
      if (sha256 !== shard.sha256) {
        throw damagedShard(origin, `its sha256 should be ${shard.sha256} and is ${sha256}`);
      }
      await linkOrCopy(origin, target);
    }
    shards.push({ ...shard, file });
  }
  const total = (count: (part: ManifestSplit) => number) => parts.reduce((sum, part) => sum + count(part), 0);
  return {
    tokens: total((part) => part.tokens),
    bytes: total((part) => part.bytes),
    documents: total((part) => part.documents),
    shards,
  };
}

async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await rm(to, { force: true });
    await link(from, to).catch(async () => {
      await copyFile(from, `${to}.part`, constants.COPYFILE_FICLONE);
      await rename(`${to}.part`, to);
    });
  } catch (error) {
    throw writeFailure(error, to);
  }
}
