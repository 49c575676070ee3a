import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { RunError, UserError } from '@manyhands/core/config';

export const MAXIMUM_CHOICES_BYTES = 64 * 1024;
/** Kinds of machines that one run takes. */
const MAXIMUM_KINDS = 64;

/** What a worker does about its kind's choices, from hello on. */
export interface Turn {
  /** It is ready and tells what it chose; null where it has nothing to tell. */
  settle(choices: string | null): void;
  leave(): void;
}

interface Kind {
  /** Who measures now; null once the choices are known. */
  measurer: object | null;
  known: string | null;
  readonly waiting: { readonly worker: object; tell(choices: string): void }[];
}

/**
 * What each kind of machine computes with, where there is something to choose: bits may depend on it. So the choices
 * belong to the run: the first worker of a kind measures, its others are told when it is done, and they stay with the
 * run directory, so that a run that goes on computes the same bits.
 */
export class Choices {
  private readonly kinds = new Map<string, Kind>();
  private readonly file: string;

  /**
   * @param needed false where every kernel gives the same bits everywhere: nobody waits, nothing is kept
   * @throws UserError where the choices of the run so far cannot be read: others would give other weights
   */
  constructor(
    out: string,
    resume: boolean,
    private readonly needed: boolean,
  ) {
    this.file = join(out, 'machine-choices.json');
    if (!resume) rmSync(this.file, { force: true });
    else for (const [kind, known] of read(this.file)) this.kinds.set(kind, settled(known));
  }

  /**
   * Tells the choices of a kind as soon as they are known, at once or later, and '' to the worker that is to measure.
   * @returns null where the run has too many kinds already
   */
  ask(kind: string, tell: (choices: string) => void): Turn | null {
    const worker = {};
    if (!this.needed) {
      tell('');
      return { settle() {}, leave() {} };
    }
    const entry = this.kinds.get(kind) ?? { measurer: null, known: null, waiting: [] };
    if (!this.kinds.has(kind) && this.kinds.size >= MAXIMUM_KINDS) return null;
    this.kinds.set(kind, entry);
    entry.waiting.push({ worker, tell });
    next(entry);
    return {
      settle: (choices) => {
        if (entry.measurer !== worker) return;
        if (choices !== null) {
          entry.known = choices;
          this.write();
        }
        entry.measurer = null;
        next(entry);
      },
      leave: () => {
        const at = entry.waiting.findIndex((one) => one.worker === worker);
        if (at >= 0) entry.waiting.splice(at, 1);
        if (entry.measurer === worker) entry.measurer = null;
        next(entry);
      },
    };
  }

  /** On the disk before anything that was computed with them can be. */
  private write(): void {
    const known = [...this.kinds].flatMap(([kind, entry]) =>
      entry.known === null ? [] : [[kind, entry.known]],
    );
    const beside = `${this.file}.partial`;
    try {
      const file = openSync(beside, 'w');
      writeSync(file, `${JSON.stringify(Object.fromEntries(known), null, 2)}\n`);
      fsyncSync(file);
      closeSync(file);
      renameSync(beside, this.file);
    } catch (error) {
      throw new RunError(
        `${this.file} could not be written: ${error instanceof Error ? error.message : error}.`,
      );
    }
  }
}

/** Lets everybody go where the choices are known, and else the first measure. */
function next(entry: Kind): void {
  if (entry.known !== null) {
    for (const { tell } of entry.waiting.splice(0)) tell(entry.known);
  } else if (entry.measurer === null) {
    const first = entry.waiting.shift();
    if (first === undefined) return;
    entry.measurer = first.worker;
    first.tell('');
  }
}

function settled(known: string): Kind {
  return { measurer: null, known, waiting: [] };
}

function read(file: string): [string, string][] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw new UserError(`${file} cannot be read: ${error instanceof Error ? error.message : error}.`);
  }
  const kinds = parse(text);
  if (kinds !== null) return kinds;
  throw new UserError(
    `${file} is damaged: put a copy back, or delete it, and the machines measure again and may round otherwise.`,
  );
}

function parse(text: string): [string, string][] | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
    const kinds: [string, string][] = [];
    for (const [kind, known] of Object.entries(value)) {
      if (typeof known !== 'string' || Buffer.byteLength(known) > MAXIMUM_CHOICES_BYTES) return null;
      kinds.push([kind, known]);
    }
    return kinds.length > MAXIMUM_KINDS ? null : kinds;
  } catch {
    return null;
  }
}
