import type { Position } from './position.js';
import { mixed } from './random.js';

/** What a stored value says: it is the value, or the value is at least or at most that. */
export const EXACT = 0;
export const AT_LEAST = 1;
export const AT_MOST = 2;
export type Bound = typeof EXACT | typeof AT_LEAST | typeof AT_MOST;

export interface Entry {
  readonly value: number;
  readonly bound: Bound;
  readonly depth: number;
  /** The place of the best move in the order of `legalMoves`. */
  readonly best: number;
}

const WORDS = 4;

/**
 * What a search found out about positions, for when they come up again (Greenblatt et al. 1967). Positions are found
 * by their Zobrist hash (1970) and kept whole beside it, so one is never taken for another. Of those that share a
 * place, the one that was searched deepest stays, and the newest beside it (Breuker et al. 1994).
 *
 * A search that is given a table that was used before may find more, and something else, than one with a fresh one.
 */
export class Table {
  readonly #hash: (position: Position) => number;
  readonly #mask: number;
  /** An entry's black, white and kings, and packed: depth + 1, bound, best and turn. */
  readonly #words: Int32Array;
  readonly #values: Float64Array;

  /** 2^bits places of two entries, 48 bytes. */
  constructor({ bits = 16, seed = 1 }: { readonly bits?: number; readonly seed?: number } = {}) {
    if (!(Number.isInteger(bits) && bits >= 1 && bits <= 24)) throw new RangeError(`${bits} bits: 1 to 24`);
    this.#hash = zobrist(seed);
    this.#mask = 2 ** bits - 1;
    this.#words = new Int32Array(2 * WORDS * 2 ** bits);
    this.#values = new Float64Array(2 * 2 ** bits);
  }

  get(position: Position): Entry | null {
    const first = this.#slotOf(position);
    if (this.#holds(first, position)) return this.#entry(first);
    if (this.#holds(first + 1, position)) return this.#entry(first + 1);
    return null;
  }

  /** `depth` from 0, `best` below 256. */
  set(position: Position, { value, bound, depth, best }: Entry): void {
    const first = this.#slotOf(position);
    const slot = this.#holds(first, position) || depth >= this.#entry(first).depth ? first : first + 1;
    if (slot === first && !this.#holds(first, position)) this.#copy(first, first + 1);
    const word = WORDS * slot;
    this.#words[word] = position.black;
    this.#words[word + 1] = position.white;
    this.#words[word + 2] = position.kings;
    this.#words[word + 3] = position.turn | (bound << 1) | (best << 3) | ((depth + 1) << 11);
    this.#values[slot] = value;
  }

  #slotOf(position: Position): number {
    return 2 * (this.#hash(position) & this.#mask);
  }

  #holds(slot: number, { black, white, kings, turn }: Position): boolean {
    const word = WORDS * slot;
    const words = this.#words;
    if (words[word] !== black || words[word + 1] !== white || words[word + 2] !== kings) return false;
    return words[word + 3] !== 0 && (words[word + 3] & 1) === turn;
  }

  /** What a slot holds; a depth of −1 where it is empty. */
  #entry(slot: number): Entry {
    const packed = this.#words[WORDS * slot + 3];
    return {
      value: this.#values[slot],
      bound: ((packed >> 1) & 3) as Bound,
      best: (packed >> 3) & 0xff,
      depth: (packed >> 11) - 1,
    };
  }

  #copy(from: number, to: number): void {
    this.#words.copyWithin(WORDS * to, WORDS * from, WORDS * (from + 1));
    this.#values[to] = this.#values[from];
  }
}

/**
 * The exclusive or of a random word for each piece on its square and for the side to move, of 32 bits. The words of
 * eight squares are put together beforehand, so that a set of squares takes four look-ups.
 */
export function zobrist(seed: number): (position: Position) => number {
  let drawn = 0;
  const draw = () => mixed(seed, drawn++);
  const sets = Array.from({ length: 12 }, () => {
    const words = Array.from({ length: 8 }, draw);
    return Int32Array.from({ length: 256 }, (_, byte) =>
      words.reduce((hash, word, i) => (byte & (1 << i) ? hash ^ word : hash), 0),
    );
  });
  const whiteToMove = draw();
  const of = (squares: number, first: number) =>
    sets[first][squares & 255] ^
    sets[first + 1][(squares >>> 8) & 255] ^
    sets[first + 2][(squares >>> 16) & 255] ^
    sets[first + 3][squares >>> 24];
  return ({ black, white, kings, turn }) =>
    of(black, 0) ^ of(white, 4) ^ of(kings, 8) ^ (turn === 0 ? 0 : whiteToMove);
}
