/*
 * How alike two texts are: the Jaccard similarity of their sets of word 5-grams, estimated from sketches of constant
 * size. MinHash (Broder 1997) in its one-permutation form (Li, Owen, Zhang 2012): every shingle is hashed once and
 * falls into one of 128 bins, which keeps its smallest hash.
 */

/** Words in a shingle, as in Lee et al. 2022, Deduplicating Training Data Makes Language Models Better. */
const shingleWords = 5;

export const bins = 128;
const empty = 0xffffffff;

/** The smallest hash of each bin, 2³² − 1 where none fell into it. [128] */
export type Sketch = Uint32Array;

/**
 * Makes the sketch of a text that comes piece by piece, in UTF-8. Words are runs of ASCII letters, whatever their case,
 * of digits and of letters of two bytes; a character of three or more bytes (Chinese, Japanese, …) is a word of its own.
 */
export class Sketcher {
  readonly #sketch: Sketch = new Uint32Array(bins).fill(empty);
  /** Hashes of the last words, the newest last. */
  readonly #last = new Uint32Array(shingleWords);
  #words = 0;
  /** Hash of the word that is being read, 0 between words. */
  #word = 0;
  /** Whether it is a single wide character. */
  #wide = false;

  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at];
      if (byte >= 0xe0) {
        this.#endWord();
        this.#wide = true;
        this.#extend(byte);
      } else if (byte >= 0x80 && byte < 0xc0) {
        this.#extend(byte);
      } else if (isWordByte(byte)) {
        if (this.#wide) this.#endWord();
        this.#extend(byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte);
      } else {
        this.#endWord();
      }
    }
  }

  /** The sketch of all that was pushed; null where there was no word. A text below five words is one shingle. */
  end(): Sketch | null {
    this.#endWord();
    if (this.#words === 0) return null;
    if (this.#words < shingleWords) this.#addShingle();
    return this.#sketch;
  }

  #extend(byte: number): void {
    this.#word = Math.imul((this.#word || 0x811c9dc5) ^ byte, 0x01000193) | 1; // FNV-1a, never 0
  }

  #endWord(): void {
    this.#wide = false;
    if (this.#word === 0) return;
    this.#last.copyWithin(0, 1);
    this.#last[shingleWords - 1] = mix(this.#word);
    this.#word = 0;
    this.#words += 1;
    if (this.#words >= shingleWords) this.#addShingle();
  }

  #addShingle(): void {
    let hash = 0;
    for (const word of this.#last) hash = Math.imul(hash, 0x9e3779b1) + word;
    hash = mix(hash);
    const bin = hash >>> 25;
    const value = mix(hash ^ 0x5bd1e995) >>> 0;
    if (value < this.#sketch[bin]) this.#sketch[bin] = value;
  }
}

/** Estimate of the Jaccard similarity: the part of the bins, of those that either text has, that agree. */
export function similarity(a: Sketch, b: Sketch): number {
  let [either, equal] = [0, 0];
  for (let bin = 0; bin < bins; bin++) {
    if (a[bin] === empty && b[bin] === empty) continue;
    either += 1;
    if (a[bin] === b[bin]) equal += 1;
  }
  return either === 0 ? 0 : equal / either;
}

/**
 * The sketch with no bin empty: each takes the value of a full one, which one its number alone decides (optimal
 * densification, Shrivastava 2017), so that equal bins of small texts still mean alike texts.
 */
export function dense(sketch: Sketch): Sketch {
  return sketch.map((value, bin) => {
    for (let attempt = 1; value === empty; attempt++) value = sketch[mix(bin * 0x10001 + attempt) >>> 25];
    return value;
  });
}

/** The finaliser of MurmurHash3: every bit of the result hangs on every bit of `hash`. */
export function mix(hash: number): number {
  let mixed = hash;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}

function isWordByte(byte: number): boolean {
  return (
    (byte >= 0x61 && byte <= 0x7a) ||
    (byte >= 0x41 && byte <= 0x5a) ||
    (byte >= 0x30 && byte <= 0x39) ||
    byte >= 0xc0
  );
}
