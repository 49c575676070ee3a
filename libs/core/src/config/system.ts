import { accessSync, constants, existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { UserError } from './errors.js';

const causes: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EROFS: 'the file system is read-only',
  EACCES: 'permission is denied',
  EPERM: 'the operation is not permitted',
  EIO: 'the disk reports an error',
  EFBIG: 'the file would be too large for the file system',
  ENOENT: 'the folder above it is not there or takes none',
  ENOTDIR: 'a part of the path is not a folder',
  EEXIST: 'there is a file of that name',
  ENAMETOOLONG: 'the name is too long',
};

/** Why the system refused, in words; null for an error that is not the system's. */
export function systemCause(error: unknown): string | null {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (Object.hasOwn(causes, code)) return `${causes[code]} (${code})`;
  return /^E[A-Z0-9]+$/.test(code) ? code : null;
}

/**
 * Makes a folder for output, and those above it, where they are missing.
 *
 * @throws UserError where the system refuses
 */
export function makeOutputFolder(path: string): void {
  const missing: string[] = [];
  let above = resolve(path);
  for (; !existsSync(above) && dirname(above) !== above; above = dirname(above)) missing.unshift(above);
  try {
    // A read-only place tells mkdir only that the folder is missing (ENOENT); the folder above it knows why.
    accessSync(above, constants.W_OK);
    // One by one: where a place takes no folder at all (/proc), Node's recursive mkdir tries for ever.
    for (const folder of missing) mkdirSync(folder);
    if (!statSync(path).isDirectory()) throw Object.assign(new Error('a file'), { code: 'EEXIST' });
  } catch (error) {
    const cause = systemCause(error) ?? String(error);
    throw new UserError(`The folder ${path} cannot be made, since ${cause}: choose another output folder.`);
  }
}
