import { join } from 'node:path';
import { UserError } from '@manyhands/core/config';
import { Authority, readPrivateFile, writePrivateFile } from '@manyhands/proto';

/**
 * The authority of a run: the one in its directory, or a new one, kept there for its owner's eyes only, so that workers
 * know the coordinator again after a restart.
 * @throws UserError where it cannot be read, used or kept: a run never goes on with another one, or with none
 */
export async function openAuthority(out: string): Promise<Authority> {
  const file = join(out, 'ca.pem');
  try {
    const kept = readPrivateFile(file);
    if (kept !== null) return await read(file, kept);
    const { authority, secret } = await Authority.create();
    writePrivateFile(file, secret);
    return authority;
  } catch (error) {
    throw new UserError(`${error instanceof Error ? error.message : error}.`);
  }
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
