import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const BLOCK = 4096;

/** A disk of a few megabytes that can be filled. */
export class SmallDisk {
  filled = false;
  readonly #ballast: string;

  constructor(
    readonly folder: string,
    megabytes: number,
  ) {
    mkdirSync(folder, { recursive: true });
    const options = ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'manyhands-chaos', folder];
    const { status, stderr } = spawnSync('mount', options, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`${folder} cannot become a small disk: ${stderr.trim()}`);
    this.#ballast = join(folder, 'ballast');
  }

  /** Why there can be none; null where there can. */
  static missing(folder: string): string | null {
    try {
      new SmallDisk(folder, 1).close();
      return null;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  /** Leaves `free` bytes, to the block. */
  fill(free: number): void {
    this.filled = true;
    const file = openSync(this.#ballast, 'w');
    const block = new Uint8Array(BLOCK);
    let bytes = 0;
    try {
      for (;;) bytes += writeSync(file, block);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
    } finally {
      closeSync(file);
    }
    truncateSync(this.#ballast, Math.max(0, bytes - free));
  }

  clear(): void {
    this.filled = false;
    rmSync(this.#ballast, { force: true });
  }

  /** @throws Error where somebody still uses it */
  close(): void {
    const { status, stderr } = spawnSync('umount', [this.folder], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`${this.folder} cannot be unmounted: ${stderr.trim()}`);
  }
}
