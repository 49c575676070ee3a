import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { systemCause, UserError } from '../config/index.js';

const owner = z.object({
  pid: z.int().min(1),
  host: z.string(),
  /** When the process began, in the system's own words: a number that another process may get again is not enough. */
  processStart: z.string().nullable(),
  since: z.string(),
});
type Owner = z.output<typeof owner>;

export interface Lock {
  release(): void;
}

/**
 * Makes this process the only one that writes into a run directory. The lock is a file that names its owner; one
 * left behind by a process of this machine that is no more is taken over.
 *
 * @throws UserError where another coordinator has it
 */
export function lockDirectory(directory: string): Lock {
  const path = join(directory, 'run.lock');
  for (let attempt = 0; attempt < 3; attempt++) {
    if (create(path)) {
      const mine = readFileSync(path, 'utf8');
      return {
        release: () => {
          if (read(path) === mine) rmSync(path, { force: true });
        },
      };
    }
    const text = read(path);
    if (text === null) continue; // released in between
    const holder = parse(text);
    if (!holder || !isGone(holder) || !removeStale(path, text)) {
      throw new UserError(refusal(directory, path, holder));
    }
  }
  throw new UserError(refusal(directory, path, null));
}

function create(path: string): boolean {
  let file: number;
  try {
    file = openSync(path, 'wx');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw new UserError(`${path} cannot be created, since ${systemCause(error) ?? String(error)}.`);
  }
  const me: Owner = {
    pid: process.pid,
    host: hostname(),
    processStart: processStart(process.pid),
    since: new Date().toISOString(),
  };
  try {
    writeSync(file, `${JSON.stringify(me)}\n`);
    fsyncSync(file);
  } catch (error) {
    rmSync(path, { force: true });
    throw new UserError(`${path} cannot be written, since ${systemCause(error) ?? String(error)}.`);
  } finally {
    closeSync(file);
  }
  return true;
}

/**
 * Removes a stale lock; false where another process is about to. Whoever removes one holds a folder beside it and
 * has looked again: of several that found the lock stale, none can remove the new lock of a faster one.
 */
function removeStale(path: string, stale: string): boolean {
  const guard = `${path}.takeover`;
  try {
    mkdirSync(guard);
  } catch {
    return false;
  }
  try {
    if (read(path) === stale) rmSync(path);
  } finally {
    rmdirSync(guard);
  }
  return true;
}

function isGone({ pid, host, processStart: start }: Owner): boolean {
  if (host !== hostname()) return false; // one cannot know
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

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

function parse(text: string): Owner | null {
  try {
    return owner.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

function refusal(directory: string, path: string, holder: Owner | null): string {
  const who = holder ? `process ${holder.pid} on ${holder.host} since ${holder.since}` : 'an unknown process';
  return `${directory} is in use by another coordinator (${who}): stop it first, or delete ${path} if it no longer runs.`;
}
