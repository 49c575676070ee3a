import {
  BLANK,
  CASELESS,
  classAt,
  LETTER,
  LOWER,
  MARK,
  NEWLINE,
  NUMBER,
  OTHER,
  runEnd,
  SPACE,
  SYMBOL,
  UPPER,
  widthAt,
} from './classes.js';
import { codePointAt, codeUnits } from './text.js';

/**
 * Split patterns: BPE merges only within the pieces that a pattern cuts a text into. Each is a regular
 * expression in the file and a hand-written scanner here, which gives the same pieces (a test compares them) in
 * linear time whatever the text. `\s` and `\p{…}` are JavaScript's, so that ids equal gpt-tokenizer's: U+FEFF is
 * a space and U+0085 is not, where Rust and Oniguruma have it the other way round.
 */
export interface Pattern {
  readonly name: PatternName;
  /** As it stands in tokenizer.json, in the common ground of JavaScript's, Rust's and Oniguruma's syntax. */
  readonly source: string;
  readonly scan: Scanner;
}

/** The end of the piece that begins at `start`, which is below `end`, the end of the text. */
export type Scanner = (units: Uint16Array, start: number, end: number) => number;

export type PatternName = 'gpt2' | 'gpt4' | 'llama3' | 'o200k';

const QUOTE = 0x27;
const BLANK_CHARACTER = 0x20;
const SLASH = 0x2f;

/** The end of `'s 't 're 've 'm 'll 'd` at `i`, or `i` where there is none. */
function contractionEnd(units: Uint16Array, i: number, end: number, fold: number): number {
  if (units[i] !== QUOTE || i + 1 >= end) return i;
  // Setting bit 5 makes an ASCII capital small and no other unit a small letter that it was not.
  const a = units[i + 1] | fold;
  if (a === 0x73 || a === 0x74 || a === 0x6d || a === 0x64) return i + 2; // s t m d
  if (i + 2 >= end) return i;
  const b = units[i + 2] | fold;
  if ((a === 0x72 || a === 0x76) && b === 0x65) return i + 3; // re ve
  return a === 0x6c && b === 0x6c ? i + 3 : i; // ll
}

/** `\s+(?!\S)|\s+` over the run [start, stop): all of it at the end of the text, else all but its last. */
function spacesEnd(start: number, stop: number, end: number): number {
  return stop === end || stop === start + 1 ? stop : stop - 1;
}

/** Just after the last newline in [start, stop), or `start`. */
function afterLastNewline(units: Uint16Array, start: number, stop: number): number {
  while (stop > start && units[stop - 1] !== 0x0a && units[stop - 1] !== 0x0d) stop--;
  return stop;
}

function scanGpt2(units: Uint16Array, start: number, end: number): number {
  const contraction = contractionEnd(units, start, end, 0);
  if (contraction > start) return contraction;
  let i = start;
  let kind = classAt(units, i, end);
  if (units[i] === BLANK_CHARACTER) {
    const next = classAt(units, i + 1, end);
    if (next !== 0 && (next & SPACE) === 0) {
      i++;
      kind = next;
    }
  }
  if (kind & LETTER) return runEnd(units, i, end, LETTER);
  if (kind & NUMBER) return runEnd(units, i, end, NUMBER);
  if (kind & SYMBOL) return runEnd(units, i, end, SYMBOL);
  return spacesEnd(start, runEnd(units, start, end, SPACE), end);
}

/** `\p{N}{1,3}`: the end of up to three digits. */
function digitsEnd(units: Uint16Array, start: number, end: number): number {
  let i = start;
  for (let n = 0; n < 3 && classAt(units, i, end) & NUMBER; n++) i += widthAt(units, i, end);
  return i;
}

/** ` ?[^\s\p{L}\p{N}]+`, or `start` where that does not match. */
function symbolsEnd(units: Uint16Array, start: number, end: number): number {
  const from = units[start] === BLANK_CHARACTER ? start + 1 : start;
  const stop = runEnd(units, from, end, SYMBOL);
  return stop > from ? stop : start;
}

/** GPT-4's pattern; `trailing`: white space at the end of the text is one piece, whatever newlines it holds. */
function gpt4Scanner(trailing: boolean): Scanner {
  return (units, start, end) => {
    const contraction = contractionEnd(units, start, end, 0x20);
    if (contraction > start) return contraction;
    const kind = classAt(units, start, end);
    if (kind & LETTER) return runEnd(units, start, end, LETTER);
    if (kind & NUMBER) return digitsEnd(units, start, end);
    if ((kind & NEWLINE) === 0) {
      const second = start + widthAt(units, start, end);
      if (classAt(units, second, end) & LETTER) return runEnd(units, second, end, LETTER);
    }
    const symbols = symbolsEnd(units, start, end);
    if (symbols > start) return runEnd(units, symbols, end, NEWLINE);
    const stop = runEnd(units, start, end, SPACE);
    if (trailing && stop === end) return stop;
    const newline = afterLastNewline(units, start, stop);
    return newline > start ? newline : spacesEnd(start, stop, end);
  };
}

/**
 * o200k's two alternatives for words from `start`, where a run of [Lu Lt Lm Lo M] begins or is empty:
 * that run and then [Ll Lm Lo M]+, the first giving back what the second needs; or the run alone.
 */
function wordEnd(units: Uint16Array, start: number, end: number): number {
  let i = start;
  let afterShared = start; // after the last character that both sets hold
  for (let kind = classAt(units, i, end); kind & (UPPER | CASELESS | MARK); kind = classAt(units, i, end)) {
    i += widthAt(units, i, end);
    if (kind & (CASELESS | MARK)) afterShared = i;
  }
  const lower = runEnd(units, i, end, LOWER | CASELESS | MARK);
  if (lower > i) return lower;
  return afterShared > start ? afterShared : i;
}

function scanO200k(units: Uint16Array, start: number, end: number): number {
  const kind = classAt(units, start, end);
  if (kind & NUMBER) return digitsEnd(units, start, end);
  // A word may have one character before it; a mark is part of the word either way.
  const from = kind & (BLANK | OTHER) ? start + widthAt(units, start, end) : start;
  const word = wordEnd(units, from, end);
  if (word > from) return contractionEnd(units, word, end, 0x20);
  let symbols = symbolsEnd(units, start, end);
  if (symbols > start) {
    while (symbols < end && (units[symbols] === SLASH || classAt(units, symbols, end) & NEWLINE)) symbols++;
    return symbols;
  }
  const stop = runEnd(units, start, end, SPACE);
  const newline = afterLastNewline(units, start, stop);
  return newline > start ? newline : spacesEnd(start, stop, end);
}

const contractions = "'(?:[sS]|[dD]|[mM]|[tT]|[lL][lL]|[vV][eE]|[rR][eE])";
const upper = String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`;
const lower = String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`;
const words = String.raw`[^\r\n\p{L}\p{N}]?`;

/** Every pattern there is. To add one: its source, a scanner, and the comparison in patterns.test.ts. */
export const patterns: Readonly<Record<PatternName, Pattern>> = {
  gpt2: {
    name: 'gpt2',
    source: String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`,
    scan: scanGpt2,
  },
  // `$` is the end of a line to Oniguruma, so the end of the text is written (?![\s\S]).
  gpt4: {
    name: 'gpt4',
    source: String.raw`${contractions}|${words}\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+(?![\s\S])|\s*[\r\n]|\s+(?!\S)|\s`,
    scan: gpt4Scanner(true),
  },
  // What most tokenizer.json files hold for GPT-4 and Llama 3; JavaScript 2023 cannot read its (?i:…).
  llama3: {
    name: 'llama3',
    source: String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|${words}\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
    scan: gpt4Scanner(false),
  },
  o200k: {
    name: 'o200k',
    source: String.raw`${words}${upper}*${lower}+(?:${contractions})?|${words}${upper}+${lower}*(?:${contractions})?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
    scan: scanO200k,
  },
};

/** The pieces of `text`, in order; joined they are the text. */
export function* splitText(text: string, pattern: Pattern): Generator<string> {
  const units = codeUnits(text);
  for (let i = 0; i < units.length; ) {
    const end = pattern.scan(units, i, units.length);
    yield text.slice(i, end);
    i = end;
  }
}

/**
 * The last place where `text` may be cut so that, with every pattern, the ids of both halves joined are the ids
 * of the whole, whatever follows later; 0 where it has none. For texts larger than memory. It does not know the
 * tokens that a caller allows: a special token with a space in it may be cut.
 */
export function lastSafeCut(text: string): number {
  const units = codeUnits(text);
  for (let i = units.length - 1; i > 0; i--) {
    const before = i > 1 && codePointAt(units, i - 2, i) > 0xffff ? i - 2 : i - 1;
    // No piece holds a letter or digit and then a space or symbol, but for the apostrophe of a contraction.
    if (
      units[i] !== QUOTE &&
      classAt(units, i, units.length) & (SPACE | OTHER) &&
      classAt(units, before, i) & (LETTER | NUMBER)
    )
      return i;
  }
  return 0;
}
