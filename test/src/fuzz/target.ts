import type { RandomStream } from '@manyhands/core/numeric';
import type { mutators } from './mutate.js';

/** One reader of bytes from outside, and how to attack it. */
export interface Target {
  readonly form: keyof typeof mutators;
  /** Its part of all inputs, beside the others'. */
  readonly share: number;
  /** Names of errors, besides those below, that are a refusal here. */
  readonly refusals?: readonly string[];
  /** Sets up; what it returns reads one input after the other. */
  open(): Promise<Reader>;
}

export interface Reader {
  /** Valid inputs, made by the code itself: each must be accepted. */
  readonly seeds: readonly Uint8Array[];
  /** Makes checksums right again after a change, so that what lies behind them is reached. */
  seal?(input: Uint8Array, random: RandomStream): Uint8Array;
  /** Accepts the input, or throws: one clear sentence. */
  read(input: Uint8Array): unknown;
  close?(): void | Promise<void>;
}

/** Errors whose message is written for people. */
const REFUSALS = ['Error', 'UserError', 'RunError', 'TokenizerError', 'TensorError'];

/** Characters of a refusal: a sentence, a path and two hashes fit many times. */
const LONGEST_REFUSAL = 1000;

/** What only a program's own failure says. */
const INTERNAL =
  /undefined|is not (?:a function|iterable|a constructor|defined)|Cannot (?:read|set|convert|destructure|access|mix)|\[object |call stack|Invalid (?:array|typed array|string|count|left-hand)|Reduce of empty|out of memory|ERR_[A-Z_]+|\bat .+:\d+:\d+|circular structure/i;

/**
 * What is wrong with an error as a refusal, or null where it is a clear one.
 * @param inputText is not held against the message where the message only quotes it
 */
export function complaint(error: unknown, refusals: readonly string[] = [], inputText = ''): string | null {
  if (!(error instanceof Error)) return `threw ${typeof error}, which is no Error`;
  const { name, message } = error;
  const told = `${name}: ${message.slice(0, 300)}`;
  if (![...REFUSALS, ...refusals].includes(name)) return `threw an internal error: ${error.stack ?? told}`;
  if (message.trim() === '') return 'refused without a word';
  if (message.length > LONGEST_REFUSAL) return `refused in ${message.length} characters: ${told}`;
  if (/[\p{Cc}\u2028\u2029]/u.test(message))
    return `refused with control characters: ${JSON.stringify(told)}`;
  const [internal] = INTERNAL.exec(message) ?? [];
  if (internal !== undefined && !inputText.includes(internal))
    return `refused in words of its insides: ${told}`;
  return null;
}

/** The sentence without what differs from input to input: two with the same shape were refused for the same reason. */
export function shapeOf(message: string): string {
  return message
    .replace(/"(?:[^"\\]|\\.)*(?:"|…|$)/g, '""')
    .replace(/(?:\/[\w.-]+)+/g, '/')
    .replace(/[0-9a-f]{6,}|\d+/g, '0')
    .replace(/0(?:[ ,]+0)+/g, '0')
    .slice(0, 120);
}
