import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { RunError, systemCause, UserError } from '../config/index.js';

/** What went wrong with a file, as the operating system names it ('ENOENT', 'ENOSPC', …). */
export function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/** A failed read as one clear sentence: a {@link UserError}, or the error itself where it is not about the file. */
export function readFailure(error: unknown, path: string): unknown {
  switch (errorCode(error)) {
    case 'ENOENT':
    case 'ENOTDIR':
      return new UserError(
        `${path} does not exist: give a file, a folder, a glob, or one of sotu, moby-dick.`,
      );
    case 'EACCES':
    case 'EPERM':
      return new UserError(
        `${path} cannot be read: permission denied; give its reader the right to (chmod +r).`,
      );
    case 'EISDIR':
      return new UserError(`${path} is a folder where a file was expected.`);
    case 'EIO':
      return new UserError(`${path} cannot be read: the disk reports an input/output error.`);
    default:
      return error;
  }
}

/** A failed write as one clear sentence: a {@link RunError} where the disk is full, a {@link UserError} for rights. */
export function writeFailure(error: unknown, path: string): unknown {
  switch (errorCode(error)) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new RunError(
        `The disk is full while ${path} was written: free some space and run the same command again; ` +
          'the shards that are finished are kept.',
      );
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new UserError(
        `${path} cannot be written, since ${systemCause(error)}: choose another output folder.`,
      );
    case 'ENOTDIR':
    case 'EEXIST':
      return new UserError(`${path} cannot be written: a file stands where a folder is needed.`);
    default:
      return error;
  }
}

/** Writes a small file so that it is whole or absent, also when the power fails: beside, flushed, renamed. */
export async function writeDurably(path: string, text: string): Promise<void> {
  const part = `${path}.part`;
  try {
    const handle = await open(part, 'w');
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(part, path);
    await syncDirectory(dirname(path));
  } catch (error) {
    throw writeFailure(error, path);
  }
}

/** Flushes a directory's entries, so that a rename outlives a power failure. Windows has no such call. */
export async function syncDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
