import { randomUUID } from 'node:crypto';
import {
  closeSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';

/** More than any secret that we keep. */
const MAXIMUM_BYTES = 64 * 1024;

/**
 * Reads a file with a secret.
 * @returns null where there is none
 * @throws Error with one sentence where it cannot be read, is not small, or other users may read or write it
 */
export function readPrivateFile(path: string): string | null {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw new Error(`${path} cannot be read: ${reasonOf(error)}`);
  }
  try {
    const { mode, size } = fstatSync(descriptor);
    // Windows keeps rights elsewhere.
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      throw new Error(
        `${path} holds a secret that other users of this machine may have read: make a new one, and keep it with chmod 600`,
      );
    }
    if (size > MAXIMUM_BYTES) throw new Error(`${path} is larger than any secret: ${size} bytes`);
    return readFileSync(descriptor, 'utf8');
  } catch (error) {
    if (error instanceof Error && error.message.startsWith(path)) throw error;
    throw new Error(`${path} cannot be read: ${reasonOf(error)}`);
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Writes a file that only its owner can read; it is there whole or not at all.
 * @throws Error with one sentence where it cannot be written
 */
export function writePrivateFile(path: string, text: string): void {
  const partial = `${path}.${randomUUID()}`;
  try {
    const descriptor = openSync(partial, 'wx', 0o600);
    try {
      writeFileSync(descriptor, text);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(partial, path);
    flushDirectory(dirname(path));
  } catch (error) {
    rmSync(partial, { force: true });
    throw new Error(`${path} cannot be written: ${reasonOf(error)}`);
  }
}

function flushDirectory(path: string): void {
  if (process.platform === 'win32') return;
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
