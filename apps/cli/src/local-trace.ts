import { existsSync, rmSync } from 'node:fs';
import { mergeTraces } from '@manyhands/core/trace';

/**
 * The trace of a run on this machine. Each process writes its own part beside the file, and the parts become the file
 * when all have ended; a process that was killed leaves none.
 */
export class LocalTrace {
  readonly #file: string;
  readonly #parts: string[] = [];

  constructor(file: string) {
    this.#file = file;
  }

  /** Where a process that is started now writes. */
  part(name: string): string {
    const part = `${this.#file}.${this.#parts.length}-${name}`;
    rmSync(part, { force: true });
    this.#parts.push(part);
    return part;
  }

  /** Makes one file of the parts that there are, and removes them. */
  async merge(): Promise<void> {
    const written = this.#parts.filter((part) => existsSync(part));
    await mergeTraces(written, this.#file);
    for (const part of written) rmSync(part);
  }
}
