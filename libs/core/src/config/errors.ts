import type { z } from 'zod';

/**
 * Bad usage, config or input: something that a person can put right before trying again. The message is one
 * sentence: what was wrong, which option, key or file, its value, and what is allowed. Exit status 2.
 */
export class UserError extends Error {
  override readonly name = 'UserError';
  readonly exitStatus = 2;
}

/**
 * A run that cannot go on although it was asked for rightly: a full disk, a damaged checkpoint. The message is
 * one sentence that says what happened, what was kept, and what to do. Exit status 1.
 */
export class RunError extends Error {
  override readonly name = 'RunError';
  readonly exitStatus = 1;
}

/** A value as an error message shows it: JSON, one line, at most 60 characters. Never throws. */
export function show(value: unknown): string {
  return oneLine(plain(value), 60);
}

/** Text from outside as an error message shows it: in one line, without what a terminal would obey, of bounded length. */
export function oneLine(text: string, most = 200): string {
  const line = text.slice(0, 4 * most).replace(/[\s\p{Cc}\p{Cf}]+/gu, ' ');
  return line.length > most ? `${line.slice(0, most - 1)}…` : line;
}

/** What zod found first, as part of a sentence: the key, and what is wrong with it. */
export function firstProblem({ issues: [issue] }: z.core.$ZodError): string {
  const found = issue.message.replace(', received undefined', ', but it is missing');
  return oneLine(`${issue.path.join('.') || 'the file'}: ${found}`);
}

function plain(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.length > 100 ? value.slice(0, 100) : value);
    case 'bigint':
    case 'symbol':
    case 'number': // JSON has no NaN and no infinity
      return String(value);
    case 'function':
      return 'a function';
    case 'undefined':
      return 'missing';
    default:
      try {
        return JSON.stringify(value) ?? 'an object';
      } catch {
        return 'an object'; // cyclic, or with a bigint inside
      }
  }
}
