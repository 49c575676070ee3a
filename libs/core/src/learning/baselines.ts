import { math } from '../numeric/index.js';

/** Losses in nats a token of models that anybody can build from counts: what a network has to beat. */
export interface Baselines {
  /** Every token alike. */
  readonly uniform: number;
  /** As often as in the training data. */
  readonly unigram: number;
  /** As often as in the training data after the token before it. */
  readonly bigram: number;
}

/** Tokens of the training data that are counted at most, spread evenly over them: more would not change the second digit. */
export const COUNTED_TOKENS = 2_000_000;

/**
 * Counts of tokens and of the tokens in front of them: unigrams, bigrams, … up to an order. A token that never came is given
 * its share by adding one (Laplace); one that never came after those in front of it shares, by the shorter context, what the
 * number of different tokens that came there leaves (Witten & Bell 1991, method C).
 */
export class NgramModel {
  private total = 0;
  private readonly counts: Float64Array;
  /** At [n−1] what followed each n tokens. */
  private readonly contexts: readonly Context[];

  /** @throws RangeError where tokens and order are too many to number each n-gram */
  constructor(
    private readonly vocab: number,
    readonly order = 2,
  ) {
    if (!Number.isSafeInteger(vocab ** order)) throw new RangeError(`${vocab} tokens in ${order}-grams`);
    this.counts = new Float64Array(vocab);
    this.contexts = Array.from({ length: order - 1 }, (_, i) => new Context(vocab, i + 1));
  }

  /** @param tokens ids one after the other; −1 is the end of a text that is shorter than its window */
  learn(tokens: ArrayLike<number>): void {
    for (let i = 1; i < tokens.length && tokens[i] >= 0; i++) {
      this.counts[tokens[i]] += 1;
      this.total += 1;
      let before = 0;
      let place = 1;
      for (let n = 1; n <= this.contexts.length && n <= i; n++) {
        before += tokens[i - n] * place;
        place *= this.vocab;
        this.contexts[n - 1].learn(before, tokens[i]);
      }
    }
  }

  /**
   * Adds −ln(probability) of every token but the first to the sum of each order, in nats.
   * @param sums at [n−1] that of the n-grams
   * @returns how many tokens that were
   */
  surprise(tokens: ArrayLike<number>, sums: Float64Array): number {
    let i = 1;
    for (; i < tokens.length && tokens[i] >= 0; i++) {
      let probability = (this.counts[tokens[i]] + 1) / (this.total + this.vocab);
      let surprise = math.log(probability);
      sums[0] -= surprise;
      let before = 0;
      let place = 1;
      for (let n = 1; n <= this.contexts.length; n++) {
        if (n <= i) {
          before += tokens[i - n] * place;
          place *= this.vocab;
          const known = this.contexts[n - 1].probability(before, tokens[i], probability);
          if (known !== probability) surprise = math.log(known);
          probability = known;
        }
        sums[n] -= surprise;
      }
    }
    return i - 1;
  }

  /** Mean losses over every token but the first of each window; null: there is none. */
  losses(windows: Iterable<ArrayLike<number>>): Baselines | null {
    const sums = new Float64Array(this.order);
    let targets = 0;
    for (const tokens of windows) targets += Math.max(0, this.surprise(tokens, sums));
    if (targets === 0) return null;
    return { uniform: math.log(this.vocab), unigram: sums[0] / targets, bigram: sums[1] / targets };
  }
}

/** What followed so many tokens, which together are one number. */
class Context {
  /** How often anything followed, and how many different tokens. */
  private readonly followed: Tally;
  private readonly kinds: Tally;
  /** By context × vocabulary + token. */
  private readonly pairs: Tally;

  constructor(
    private readonly vocab: number,
    length: number,
  ) {
    this.followed = new Tally(vocab ** length);
    this.kinds = new Tally(vocab ** length);
    this.pairs = new Tally(vocab ** (length + 1));
  }

  learn(before: number, token: number): void {
    if (this.pairs.add(before * this.vocab + token) === 1) this.kinds.add(before);
    this.followed.add(before);
  }

  /** @param shorter the token's probability after a shorter context */
  probability(before: number, token: number, shorter: number): number {
    const kinds = this.kinds.at(before);
    if (kinds === 0) return shorter;
    const weight = this.followed.at(before) + kinds;
    return (this.pairs.at(before * this.vocab + token) + kinds * shorter) / weight;
  }
}

/** Numbers that are held in an array, of 16 MB; above it only those that occur, which are few of a large vocabulary's pairs. */
const DENSE = 1 << 22;

/** How often each of the numbers below a bound came. */
class Tally {
  private readonly dense: Uint32Array | null;
  private readonly sparse = new Map<number, number>();

  constructor(bound: number) {
    this.dense = bound <= DENSE ? new Uint32Array(bound) : null;
  }

  at(key: number): number {
    return this.dense === null ? (this.sparse.get(key) ?? 0) : this.dense[key];
  }

  /** @returns how often it has come now */
  add(key: number): number {
    const count = this.at(key) + 1;
    if (this.dense === null) this.sparse.set(key, count);
    else this.dense[key] = count;
    return count;
  }
}
