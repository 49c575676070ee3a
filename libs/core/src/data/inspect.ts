import { join } from 'node:path';
import { UserError } from '../config/index.js';
import { type Manifest, readManifest, splitNames } from './manifest.js';
import { verifyShard } from './shard.js';
import { checkShard } from './token-data.js';

export interface DataReport {
  readonly manifest: Manifest;
  /** One sentence for each shard that is missing or damaged. */
  readonly damage: readonly string[];
}

/**
 * What a prepared folder holds, with every shard read and its hash checked.
 * @throws UserError where the folder has no readable manifest
 */
export async function inspectData(dir: string): Promise<DataReport> {
  const manifest = await readManifest(dir);
  const damage: string[] = [];
  for (const source of manifest.sources) {
    for (const shard of splitNames.flatMap((name) => source[name].shards)) {
      const path = join(dir, shard.file);
      try {
        checkShard(path, await verifyShard(path), shard, manifest);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        damage.push(error.message);
      }
    }
  }
  return { manifest, damage };
}
