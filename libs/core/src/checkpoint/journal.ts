import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  writeSync,
} from 'node:fs';
import { RunError, systemCause } from '../config/index.js';

/** A file of JSON lines that only grows: metrics.jsonl, events.jsonl. */
export interface Journal {
  readonly path: string;
  /** Length of the file so far. */
  readonly bytes: number;
  /** @throws RunError where the system refuses (full disk) */
  append(line: object): void;
  /** Returns when the lines are on the disk. */
  flush(): void;
  close(): void;
}

/**
 * Opens a journal for appending. A last line that a crash cut short is removed, and so is everything that was
 * written after `until`, the step of the checkpoint from which a run goes on: its metrics then equal those of a
 * run that was never interrupted.
 */
export function openJournal(
  path: string,
  until?: { readonly step: number; readonly bytes?: number | undefined },
): Journal {
  const file = openSync(path, 'a+');
  let bytes = fstatSync(file).size;
  const whole = wholeLines(file, bytes, until);
  if (whole < bytes) {
    ftruncateSync(file, whole);
    fsyncSync(file);
    bytes = whole;
  }
  return {
    path,
    get bytes() {
      return bytes;
    },
    append: (line) => {
      const text = Buffer.from(`${JSON.stringify(line)}\n`);
      try {
        for (let done = 0; done < text.length; ) done += writeSync(file, text, done);
      } catch (error) {
        const cause = systemCause(error) ?? String(error);
        throw new RunError(`${path} could not be written, since ${cause}; the last checkpoint is whole.`, {
          cause: error,
        });
      }
      bytes += text.length;
    },
    flush: () => fsyncSync(file),
    close: () => {
      fsyncSync(file);
      closeSync(file);
    },
  };
}

/** The lines of a journal; a last one that was cut short is left out. */
export function readJournal(path: string): Record<string, unknown>[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, 'utf8')
    .split('\n')
    .map(parseLine)
    .filter((line) => line !== null);
}

/** Length of the part to keep: up to the first line that is cut short, or of a later step than `until`. */
function wholeLines(file: number, size: number, until: Parameters<typeof openJournal>[1]): number {
  const content = Buffer.alloc(Math.min(size, until?.bytes ?? size));
  for (let done = 0; done < content.length; ) {
    const count = readSync(file, content, done, content.length - done, done);
    if (count === 0) break;
    done += count;
  }
  let kept = 0;
  for (let end = content.indexOf(10); end >= 0; end = content.indexOf(10, kept)) {
    const line = parseLine(content.toString('utf8', kept, end));
    if (line === null) break;
    if (until && typeof line.step === 'number' && line.step > until.step) break;
    kept = end + 1;
  }
  return kept;
}

function parseLine(text: string): Record<string, unknown> | null {
  try {
    const line: unknown = JSON.parse(text);
    return typeof line === 'object' && line !== null ? { ...line } : null;
  } catch {
    return null;
  }
}
