/**
 * Where a text may be cut so that the tokens of its parts are the tokens of the whole.
 *
 * Byte-level BPE splits a text into pieces by a pattern (GPT-2's, GPT-4's, GPT-4o's) and merges inside a piece
 * only. A cut is safe where every such pattern ends a piece, whatever stands further left or right:
 *
 * - between a letter or digit and white space: no pattern goes on from a letter or digit into white space, and
 *   white space in front of a word belongs to what follows;
 * - between punctuation and a space: GPT-4 lets punctuation take the line breaks after it, never a space;
 * - between a letter and punctuation, but for the apostrophe of "don't" (text without spaces: Chinese, Japanese).
 *
 * The last character of the left part is never white space, so that the look-aheads of the patterns (`\s+(?!\S)`,
 * `\s+$`) see the same on both sides of the cut.
 */
const safeCut = /(?<=[\p{L}\p{N}])(?=\s)|(?<=\p{P})(?= )|(?<=\p{L})(?=[^\P{P}'’])/gu;

/** The tails of a block in which a cut is looked for, in bytes: nearly always the first is enough. */
const tails = [4096, 65536, Number.POSITIVE_INFINITY];

/** The last safe cut in `bytes` (whole, valid UTF-8), in bytes from its start; 0 where there is none. */
export function lastSafeCut(bytes: Buffer): number {
  for (const tail of tails) {
    const start = codePointStart(bytes, Math.max(0, bytes.length - tail));
    const text = bytes.toString('utf8', start);
    let last = 0;
    for (const match of text.matchAll(safeCut)) last = match.index;
    if (last > 0) return start + Buffer.byteLength(text.slice(0, last));
    if (start === 0) break;
  }
  return 0;
}

/** The first byte of the code point that `position` lies in. */
export function codePointStart(bytes: Uint8Array, position: number): number {
  let start = position;
  while (start > 0 && position - start < 3 && isContinuation(bytes[start])) start -= 1;
  return isContinuation(bytes[start]) ? position : start;
}

/** How many of the bytes are whole code points: less than their number where the last one is cut short. */
export function wholeCodePoints(bytes: Uint8Array): number {
  if (bytes.length === 0) return 0;
  const start = codePointStart(bytes, bytes.length - 1);
  return start + codePointLength(bytes[start]) > bytes.length ? start : bytes.length;
}

/** The length that the first byte of a code point promises; 1 for a byte that cannot be first. */
export function codePointLength(lead: number): number {
  if (lead >= 0xf0 && lead < 0xf8) return 4;
  if (lead >= 0xe0 && lead < 0xf0) return 3;
  if (lead >= 0xc0 && lead < 0xe0) return 2;
  return 1;
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}
