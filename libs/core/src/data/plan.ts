import { createHash } from 'node:crypto';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { UserError } from '../config/index.js';
import type { EncoderInfo } from './encoder.js';
import { errorCode, writeDurably, writeFailure } from './files.js';
import { type Manifest, manifestName, readManifest, splitNames } from './manifest.js';
import { wholeShard } from './shard.js';
import { isCorpus, type PreparedSource, type TextSource } from './sources.js';
import { removeShards } from './split-writer.js';

/** Everything that the shards follow from, beside the text. */
export interface Settings {
  readonly validation: number;
  readonly shardTokens: number;
  readonly blockBytes: number;
  readonly vocabulary: EncoderInfo;
  /** Where near-duplicates are left out; otherwise the key is missing. */
  readonly nearDuplicates?: 'drop';
}

const planName = 'plan.json';

/**
 * Names what is to be made: equal plans give equal shards. Files count by path, size and time of change (those of a
 * bundled corpus by size alone: its package's version is fixed). Weights are no part of it.
 */
export function planHash(sources: readonly (TextSource | PreparedSource)[], settings: Settings): string {
  const inputs = sources.map((source) => [
    ...(source.kind === 'text'
      ? isCorpus(source.path)
        ? [source.name, source.files.map((file) => file.size)]
        : [source.name, source.files.map((file) => [resolve(file.path), file.size, file.modified])]
      : [resolve(source.path), source.manifest.dataHash]),
    // Keys that are missing change no hash of a plan from before they were there.
    ...(source.kind === 'prepared' && source.name !== null ? [{ name: source.name }] : []),
    ...(source.heldOut ? [{ heldOut: true }] : []),
  ]);
  return createHash('sha256')
    .update(JSON.stringify(['manyhands-tokens', 1, settings, inputs]))
    .digest('hex');
}

/**
 * Makes the folder ready for a plan: empty of shards, or with those of an attempt at the same plan.
 * @returns the manifest where the plan is carried out already and every shard is whole
 * @throws UserError where the folder holds data made otherwise
 */
export async function openOutput(
  out: string,
  plan: string,
  warn: (text: string) => void,
): Promise<Manifest | null> {
  try {
    const files = await readdir(out);
    if (files.includes(manifestName)) {
      const manifest = await readManifest(out);
      if (manifest.plan !== plan) {
        throw new UserError(
          `${out} holds data that was prepared from other text or in another way: choose another output folder, ` +
            'or remove this one.',
        );
      }
      const damaged = await damagedShards(out, manifest);
      if (damaged.length === 0) return manifest;
      warn(`${damaged.join(', ')} in ${out} damaged or missing: made again.`);
      await writeDurably(join(out, planName), JSON.stringify({ plan }));
      await rm(join(out, manifestName));
    } else if ((await unfinishedPlan(out)) !== plan) {
      await removeShards(out, files);
      await writeDurably(join(out, planName), JSON.stringify({ plan }));
    }
    return null;
  } catch (error) {
    throw writeFailure(error, out);
  }
}

/** Writes the manifest, which makes the folder whole. */
export async function closeOutput(out: string, manifest: Manifest): Promise<Manifest> {
  await writeDurably(join(out, manifestName), `${JSON.stringify(manifest, null, 2)}\n`);
  await rm(join(out, planName), { force: true });
  return manifest;
}

async function damagedShards(out: string, manifest: Manifest): Promise<string[]> {
  const damaged: string[] = [];
  for (const source of manifest.sources) {
    for (const shard of splitNames.flatMap((name) => source[name].shards)) {
      const header = await wholeShard(join(out, shard.file));
      if (header?.sha256 !== shard.sha256) damaged.push(shard.file);
    }
  }
  return damaged;
}

async function unfinishedPlan(out: string): Promise<string | null> {
  try {
    const json: unknown = JSON.parse(await readFile(join(out, planName), 'utf8'));
    return typeof json === 'object' && json !== null && 'plan' in json ? String(json.plan) : null;
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || error instanceof SyntaxError) return null;
    throw error;
  }
}
