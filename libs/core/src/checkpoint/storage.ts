import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { RunError, systemCause } from '../config/index.js';

/**
 * The writes that a checkpoint is made of, one method a system call or so, so that a test can stop the world
 * at each of them. Reading goes past it: what was written is a file like any other.
 */
export interface Storage {
  /** Creates a file, or empties the one that is there. */
  create(path: string): Promise<StorageFile>;
  /** The folder above it is there; the folder itself may be. */
  makeDirectory(path: string): Promise<void>;
  /** Makes the names in a directory last: a rename is on the disk only after this. */
  syncDirectory(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  symlink(target: string, path: string): Promise<void>;
  /** Removes a file or a whole directory; absent is fine. */
  remove(path: string): Promise<void>;
}

export interface StorageFile {
  write(bytes: Uint8Array): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

export const disk: Storage = {
  create: async (path) => {
    const file = await fs.open(path, 'w');
    return {
      write: async (bytes) => {
        for (let done = 0; done < bytes.length; ) done += (await file.write(bytes, done)).bytesWritten;
      },
      sync: () => file.sync(),
      close: () => file.close(),
    };
  },
  makeDirectory: async (path) => {
    try {
      await fs.mkdir(path); // where a disk is read-only, a recursive one says that the folder above is missing
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    }
  },
  syncDirectory: async (path) => {
    if (process.platform === 'win32') return; // a directory cannot be opened there; NTFS journals its names
    const directory = await fs.open(path, 'r');
    await directory.sync().finally(() => directory.close());
  },
  rename: fs.rename,
  symlink: (target, path) => fs.symlink(target, path, 'dir'),
  remove: (path) => fs.rm(path, { recursive: true, force: true }),
};

const chunkBytes = 4 << 20;

/**
 * Writes a file through to the disk and returns its sha256. In chunks, so that a coordinator that saves a large
 * model still answers its workers.
 */
export async function writeThrough(
  storage: Storage,
  path: string,
  parts: readonly Uint8Array[],
): Promise<string> {
  const hash = createHash('sha256');
  const file = await storage.create(path);
  try {
    for (const part of parts) {
      for (let first = 0; first < part.length; first += chunkBytes) {
        const chunk = part.subarray(first, first + chunkBytes);
        hash.update(chunk);
        await file.write(chunk);
      }
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return hash.digest('hex');
}

/** Replaces a small file: after a crash it holds the old text or the new one, never a part. */
export async function replaceFile(storage: Storage, path: string, text: string): Promise<void> {
  const beside = join(dirname(path), `.${basename(path)}.partial`);
  await writeThrough(storage, beside, [new TextEncoder().encode(text)]);
  await storage.rename(beside, path);
  await storage.syncDirectory(dirname(path));
}

/** Runs a write; a refusal by the system becomes a RunError: "WHAT: cause. AFTERWARDS". */
export async function writing<T>(what: string, afterwards: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    const cause = systemCause(error);
    if (cause === null) throw error;
    throw new RunError(`${what} could not be written, since ${cause}; ${afterwards}.`, { cause: error });
  }
}
