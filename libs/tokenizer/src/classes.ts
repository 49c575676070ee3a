import { codePointAt } from './text.js';

/** What the split patterns ask of a character; exactly one bit is set. */
export const UPPER = 1; // Lu, Lt
export const LOWER = 2; // Ll
export const CASELESS = 4; // Lm, Lo
export const MARK = 8; // M
export const NUMBER = 16; // N
export const NEWLINE = 32; // \r \n
export const BLANK = 64; // the rest of \s
export const OTHER = 128;

export const LETTER = UPPER | LOWER | CASELESS; // \p{L}
export const SPACE = NEWLINE | BLANK; // \s
export const SYMBOL = MARK | OTHER; // [^\s\p{L}\p{N}]

/** Class by code point, 0 = not looked up yet. Surrogates stay 0, so that they always take the slow way. */
const table = new Uint8Array(0x110000);

// The engine's own Unicode tables decide, as they do for every pattern that is run as a JavaScript RegExp.
const tests: readonly (readonly [RegExp, number])[] = [
  [/[\r\n]/, NEWLINE],
  [/\s/, BLANK],
  [/[\p{Lu}\p{Lt}]/u, UPPER],
  [/\p{Ll}/u, LOWER],
  [/\p{L}/u, CASELESS],
  [/\p{M}/u, MARK],
  [/\p{N}/u, NUMBER],
];

function classify(point: number): number {
  if (point >= 0xd800 && point <= 0xdfff) return OTHER; // a lone surrogate
  const character = String.fromCodePoint(point);
  const found = tests.find(([pattern]) => pattern.test(character))?.[1] ?? OTHER;
  table[point] = found;
  return found;
}

/** The class of the character that begins at `i`; 0 at the end of the text. */
export function classAt(units: Uint16Array, i: number, end: number): number {
  if (i >= end) return 0;
  const known = table[units[i]];
  if (known !== 0) return known;
  const point = codePointAt(units, i, end);
  return table[point] || classify(point);
}

/** Units of the character that begins at `i`. */
export function widthAt(units: Uint16Array, i: number, end: number): number {
  return codePointAt(units, i, end) > 0xffff ? 2 : 1;
}

/** The end of the longest run from `i` whose characters are all of the classes in `mask`. */
export function runEnd(units: Uint16Array, i: number, end: number, mask: number): number {
  while (i < end) {
    const known = table[units[i]];
    if (known & mask) i++;
    else if (known !== 0) return i;
    else if (classAt(units, i, end) & mask) i += widthAt(units, i, end);
    else return i;
  }
  return i;
}
