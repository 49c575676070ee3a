import { constants } from 'node:fs';
import { copyFile, link, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../config/index.js';
import type { EncoderInfo } from './encoder.js';
import { syncDirectory, writeFailure } from './files.js';
import type { Manifest, ManifestShard, ManifestSource, SplitName } from './manifest.js';
import { damagedShard, verifyShard, wholeShard } from './shard.js';
import type { PreparedSource } from './sources.js';
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

/** The weights of a prepared folder's sources: the folder's own weight, shared out as the folder does it. */
export function adoptedWeights(source: PreparedSource): number[] {
  const total = source.manifest.sources.reduce((sum, { weight }) => sum + weight, 0);
  return source.manifest.sources.map(({ weight }) => (source.weight * weight) / total);
}

/**
 * Takes one split of a prepared source over: links its shards into `dir`, or copies them to another disk.
 * @throws UserError where a shard is missing or damaged
 */
export async function adoptSplit(
  from: string,
  source: ManifestSource,
  split: SplitName,
  dir: string,
  prefix: string,
): Promise<ManifestSource[SplitName]> {
  const shards: ManifestShard[] = [];
  for (const shard of source[split].shards) {
    const file = shardFile(`${prefix}.${split}`, shards.length);
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
  await syncDirectory(dir);
  return { ...source[split], shards };
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
