import { randomUUID } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { RunError, systemCause, UserError } from '../config/index.js';

/** What may be shown: anybody may have written the file. */
const word = z.string().regex(/^\P{C}{0,255}$/u);

const owner = z.object({
  pid: z.int().min(1),
  host: word,
  /** When the process began, in the system's own words: a number that another process may get again is not enough. */
  processStart: word.nullable(),
  since: word,
});
type Owner = z.output<typeof owner>;

export interface Lock {
  /** Resolves where another coordinator has the directory now, since nothing was heard of this one for so long. */
  readonly lost: Promise<RunError>;
  release(): void;
}

/** How often an owner writes its lock anew, and after how long without it counts as gone on another machine. */
const BEAT_MILLISECONDS = 10_000;
const GONE_SECONDS = 120;

/** A lock that lies in a directory. */
interface Held {
  /** Of `run.lock` 0; each takeover counts on. */
  readonly generation: number;
  readonly path: string;
  readonly text: string;
}

/**
 * Makes this process the only one that writes into a run directory. The lock is a file that names its owner, there
 * whole or not at all: a process may die at any moment of this, and nothing that it leaves keeps others out. Locks of
 * processes of this machine that are no more are passed over by one of the next generation: of several that try,
 * one can make it. Owners of former generations are looked at again afterwards, since the numbers begin anew when a
 * lock is released. Whether a process of another machine is no more, its beat tells: it writes its lock again and again.
 *
 * @param beat milliseconds between two beats
 * @throws UserError where another coordinator has it; RunError where the system refuses (full disk), which may pass
 */
export function lockDirectory(directory: string, beat = BEAT_MILLISECONDS): Lock {
  for (;;) {
    const before = locksIn(directory);
    refuseUnlessGone(directory, before);
    const generation = Math.max(-1, ...before.map((held) => held.generation)) + 1;
    const mine = create(directory, generation);
    if (mine === null) continue; // another was faster
    const release = () => {
      if (read(mine.path) === mine.text) rmSync(mine.path, { force: true });
    };
    try {
      const others = locksIn(directory).filter(({ path }) => path !== mine.path);
      refuseUnlessGone(directory, others);
      for (const { path } of others) rmSync(path, { force: true });
      for (const name of readdirSync(directory).filter(isAbandoned)) {
        rmSync(join(directory, name), { force: true });
      }
    } catch (error) {
      release();
      throw error;
    }
    return keep(directory, mine, beat, release);
  }
}

function locksIn(directory: string): Held[] {
  return readdirSync(directory).flatMap((name) => {
    const match = /^run\.lock(?:\.(\d{1,9}))?$/.exec(name);
    const path = join(directory, name);
    const text = match === null ? null : read(path);
    return match === null || text === null ? [] : [{ generation: Number(match[1] ?? 0), path, text }];
  });
}

function refuseUnlessGone(directory: string, locks: readonly Held[]): void {
  for (const { path, text } of locks) {
    const holder = parse(text);
    if (holder === null) throw new UserError(refusal(directory, path, 'an unknown process'));
    const who = `process ${holder.pid} on ${holder.host} since ${holder.since}`;
    if (holder.host === hostname()) {
      if (!isGone(holder)) throw new UserError(refusal(directory, path, who));
      continue;
    }
    const age = secondsSince(path);
    if (age !== null && age <= GONE_SECONDS) {
      const heard = `heard of ${Math.max(0, Math.round(age))} s ago, and gone after ${GONE_SECONDS} s without`;
      throw new UserError(refusal(directory, path, `${who}, ${heard}`));
    }
  }
}

/** Null where there is one of that generation already. */
function create(directory: string, generation: number): Held | null {
  const path = join(directory, generation === 0 ? 'run.lock' : `run.lock.${generation}`);
  const me: Owner = {
    pid: process.pid,
    host: hostname(),
    processStart: processStart(process.pid),
    since: new Date().toISOString(),
  };
  const text = `${JSON.stringify(me)}\n`;
  const beside = join(directory, `.run.lock-${randomUUID()}`);
  try {
    writeWhole(beside, text);
    linkSync(beside, path); // unlike a rename, it never replaces
    return { generation, path, text };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : null;
    // ENOENT: who has the lock by now cleared it away
    if (code === 'EEXIST' || code === 'ENOENT') return null;
    throw unwritable(path, error);
  } finally {
    rmSync(beside, { force: true });
  }
}

function unwritable(path: string, cause: unknown): RunError {
  const why = systemCause(cause) ?? String(cause);
  return new RunError(`${path} could not be written, since ${why}; the run is as it was.`, { cause });
}

function writeWhole(path: string, text: string): void {
  const file = openSync(path, 'wx');
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Beats until it is released, and sees to it that the lock is still this one's. */
function keep(directory: string, { path, text }: Held, beat: number, release: () => void): Lock {
  let lose: (error: RunError) => void = () => {};
  const lost = new Promise<RunError>((resolve) => {
    lose = resolve;
  });
  const timer = setInterval(() => {
    if (read(path) === text) return rewrite(path, text);
    clearInterval(timer);
    const sentence = `${directory} belongs to another coordinator now, since this one was away for more than ${GONE_SECONDS} s (suspended, or its disk did not answer): this one ends.`;
    lose(new RunError(sentence));
  }, beat).unref();
  return {
    lost,
    release() {
      clearInterval(timer);
      release();
    },
  };
}

/** The same bytes in the same place: whoever reads meanwhile reads them whole. */
function rewrite(path: string, text: string): void {
  try {
    const file = openSync(path, 'r+');
    try {
      writeSync(file, text, 0);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  } catch {
    // The disk refuses: the next beat tries again, and what has to be saved tells of it.
  }
}

/** Since a file was written last, by the clock of its file system, which may be another machine's; null where it is gone. */
function secondsSince(path: string): number | null {
  const probe = join(dirname(path), `.run.lock-${randomUUID()}`);
  try {
    writeWhole(probe, '');
    return (statSync(probe).mtimeMs - statSync(path).mtimeMs) / 1000;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw unwritable(path, error);
  } finally {
    rmSync(probe, { force: true });
  }
}

/** What a process left that died while it made a lock. */
function isAbandoned(name: string): boolean {
  return name.startsWith('.run.lock-');
}

/** @param owner of this machine */
function isGone({ pid, processStart: start }: Owner): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ESRCH';
  }
  const now = processStart(pid);
  return start !== null && now !== null && start !== now;
}

/** Boot and clock tick at which a process began; null where the system does not tell (it is not Linux). */
function processStart(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]; // field 22, after the name in brackets
    return `${boot}:${ticks}`;
  } catch {
    return null;
  }
}

/** Null where there is no such file; one that cannot be read is there, but nobody knows whose. */
function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ENOENT' ? null : '';
  }
}

function parse(text: string): Owner | null {
  try {
    return owner.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

function refusal(directory: string, path: string, who: string): string {
  return `${directory} is in use by another coordinator (${who}): stop it first, or delete ${path} if it no longer runs.`;
}
