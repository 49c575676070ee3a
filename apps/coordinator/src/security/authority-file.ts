import { join } from 'node:path';
import { Authority, readPrivateFile, writePrivateFile } from '@manyhands/proto';
import { keeping, trusting } from './secrets.js';

/**
 * The authority of a run: the one in its directory, or a new one, kept there for its owner's eyes only, so that workers
 * know the coordinator again after a restart.
 * @throws UserError where it cannot be read or used, RunError where it cannot be kept: a run never goes on with another
 *   one, or with none
 */
export async function openAuthority(out: string): Promise<Authority> {
  const file = join(out, 'ca.pem');
  const known = await trusting(() => {
    const kept = readPrivateFile(file);
    return kept === null ? null : read(file, kept);
  });
  if (known !== null) return known;
  const { authority, secret } = await Authority.create();
  keeping(() => writePrivateFile(file, secret));
  return authority;
}

async function read(file: string, text: string): Promise<Authority> {
  try {
    return await Authority.read(text);
  } catch (error) {
    throw new Error(
      `${file} holds no authority for certificates (${error instanceof Error ? error.message : error}): put it back, or delete it, and workers join with the new line`,
    );
  }
}
