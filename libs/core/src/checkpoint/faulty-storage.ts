/** For tests: a disk that counts its operations and lets one of them go wrong. */
import { disk, type Storage, type StorageFile } from './storage.js';

/** What happens instead of operation number `number`; for a write of bytes, after half of them. */
export type Fault = (number: number) => Promise<void> | void;

export interface Operation {
  readonly kind:
    | 'create'
    | 'write'
    | 'sync'
    | 'close'
    | 'makeDirectory'
    | 'syncDirectory'
    | 'rename'
    | 'symlink'
    | 'remove';
  readonly path: string;
  readonly to?: string;
}

/** Calls `fault` before each operation. `log` collects what was asked for; `abandon` closes what is still open. */
export function faultyStorage(
  fault: Fault,
  log: Operation[] = [],
): Storage & { readonly abandon: () => Promise<void> } {
  const open = new Set<StorageFile>();
  let count = 0;
  const step = async (operation: Operation) => {
    log.push(operation);
    await fault(count++);
  };
  return {
    create: async (path) => {
      await step({ kind: 'create', path });
      const file = await disk.create(path);
      open.add(file);
      return {
        write: async (bytes) => {
          const half = bytes.length >> 1;
          await file.write(bytes.subarray(0, half));
          await step({ kind: 'write', path });
          await file.write(bytes.subarray(half));
        },
        sync: async () => {
          await step({ kind: 'sync', path });
          await file.sync();
        },
        close: async () => {
          open.delete(file);
          await file.close();
          await step({ kind: 'close', path });
        },
      };
    },
    makeDirectory: async (path) => {
      await step({ kind: 'makeDirectory', path });
      await disk.makeDirectory(path);
    },
    syncDirectory: async (path) => {
      await step({ kind: 'syncDirectory', path });
      await disk.syncDirectory(path);
    },
    rename: async (from, to) => {
      await step({ kind: 'rename', path: from, to });
      await disk.rename(from, to);
    },
    symlink: async (target, path) => {
      await step({ kind: 'symlink', path });
      await disk.symlink(target, path);
    },
    remove: async (path) => {
      await step({ kind: 'remove', path });
      await disk.remove(path);
    },
    abandon: async () => {
      for (const file of open) await file.close();
    },
  };
}
