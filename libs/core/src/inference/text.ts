import { UserError } from '../config/index.js';
import type { FinishReason, GeneratedToken } from './generate.js';

/** Turns tokens into text as they come; a character that is cut by a token's end waits for the next token. */
export interface StreamingDecoder {
  push(id: number): string;
  /** What is left, however broken. */
  end(): string;
}

export interface StoppingText {
  /** The text that is certain by now, and whether a stop string was met; nothing may be pushed after that. */
  push(id: number): { readonly text: string; readonly stopped: boolean };
  end(): { readonly text: string; readonly stopped: boolean };
}

/**
 * Watches decoded text for stop strings, wherever tokens are cut. Text that may turn out to be the beginning of
 * one is held back, so that no part of a stop string is ever given out.
 *
 * @throws UserError for an empty stop string
 */
export function stoppingText(decoder: StreamingDecoder, stops: readonly string[]): StoppingText {
  if (stops.includes('')) throw new UserError('stop is "", but must be a text of at least one character.');
  let held = '';
  const take = (text: string, last: boolean) => {
    held += text;
    const at = firstStop(held, stops);
    const certain = at ?? (last ? held.length : held.length - longestBeginning(held, stops));
    const out = held.slice(0, certain);
    held = held.slice(certain);
    return { text: out, stopped: at !== null };
  };
  return { push: (id) => take(decoder.push(id), false), end: () => take(decoder.end(), true) };
}

export interface GeneratedText {
  readonly id: number;
  /** Text that became certain with this token; often empty. */
  readonly text: string;
  readonly finishReason: FinishReason | null;
}

/**
 * The text of generated tokens, piece by piece, ended by the first stop string. The end-of-text token has no text.
 */
export async function* generateText(
  tokens: AsyncIterable<GeneratedToken>,
  decoder: StreamingDecoder,
  stops: readonly string[] = [],
): AsyncGenerator<GeneratedText, void, void> {
  const watched = stoppingText(decoder, stops);
  for await (const { id, finishReason } of tokens) {
    let { text, stopped } = finishReason === 'endOfText' ? { text: '', stopped: false } : watched.push(id);
    if (finishReason && !stopped) {
      const rest = watched.end();
      text += rest.text;
      stopped = rest.stopped;
    }
    yield { id, text, finishReason: stopped ? 'stop' : finishReason };
    if (stopped) return;
  }
}

/**
 * Where the stop string begins that is complete first, the longest of those that end there; null where there is
 * none. The same wherever the text was cut into tokens.
 */
function firstStop(text: string, stops: readonly string[]): number | null {
  let first: { at: number; end: number } | null = null;
  for (const stop of stops) {
    const at = text.indexOf(stop);
    const end = at + stop.length;
    if (at >= 0 && (!first || end < first.end || (end === first.end && at < first.at))) first = { at, end };
  }
  return first?.at ?? null;
}

/** Length of the longest end of `text` with which a stop string begins, short of the whole stop string. */
function longestBeginning(text: string, stops: readonly string[]): number {
  let longest = 0;
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
      if (text.endsWith(stop.slice(0, length))) longest = length;
    }
  }
  return longest;
}
