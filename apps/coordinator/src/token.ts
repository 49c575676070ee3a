import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RunError, UserError } from '@manyhands/core/config';

/** 192 bits: nobody guesses it. */
const TOKEN_BYTES = 24;

/**
 * The secret in a run's join line. It stays with the run, readable by its owner alone, so that workers come back by
 * themselves when the coordinator was restarted.
 * @throws UserError where it cannot be trusted: a run never falls back to another one silently
 */
export function joinToken(out: string, resume: boolean): string {
  const file = join(out, 'join-token');
  if (resume) {
    const known = read(file);
    if (known !== null) return known;
  }
  const token = randomBytes(TOKEN_BYTES).toString('base64url');
  try {
    writeFileSync(file, `${token}\n`, { mode: 0o600 });
  } catch (error) {
    throw new RunError(`${file} could not be written: ${error instanceof Error ? error.message : error}.`);
  }
  return token;
}

function read(file: string): string | null {
  let text: string;
  try {
    text = readFileSync(file, 'utf8').trim();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw new UserError(`${file} cannot be read: ${error instanceof Error ? error.message : error}.`);
  }
  if (/^[\w-]{32,200}$/.test(text)) return text;
  throw new UserError(`${file} holds no token: delete it, and workers join with the new line.`);
}
