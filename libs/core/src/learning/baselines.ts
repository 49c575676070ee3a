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

/** How often each pair came. */
interface Pairs {
  get(pair: number): number | undefined;
  set(pair: number, count: number): void;
}

/** Pairs that a table has room for: 16 MB. Few of a large vocabulary's ever come. */
const DENSE = 2 ** 22;

class Table implements Pairs {
  private readonly counts: Uint32Array;

  constructor(pairs: number) {
    this.counts = new Uint32Array(pairs);
  }

  get(pair: number): number {
    return this.counts[pair];
  }

  set(pair: number, count: number): void {
    this.counts[pair] = count;
  }
}

/**
 * Counts of tokens and pairs of tokens. A token that never came is given its share by adding one (Laplace), a pair that
 * never came by the number of different tokens that followed the first (Witten & Bell 1991, method C).
 */
export class NgramModel {
  private total = 0;
  private readonly counts: Float64Array;
  /** By token: how often another followed, and how many different ones. */
  private readonly followed: Float64Array;
  private readonly kinds: Float64Array;
  /** By first × vocabulary + second. */
  private readonly pairs: Pairs;

  constructor(private readonly vocab: number) {
    this.counts = new Float64Array(vocab);
    this.followed = new Float64Array(vocab);
    this.kinds = new Float64Array(vocab);
    this.pairs = vocab ** 2 <= DENSE ? new Table(vocab ** 2) : new Map();
  }

  /** @param tokens ids one after the other; −1 is the end of a text that is shorter than its window */
  learn(tokens: Int32Array): void {
    for (let i = 1; i < tokens.length && tokens[i] >= 0; i++) {
      const [first, second] = [tokens[i - 1], tokens[i]];
      const pair = first * this.vocab + second;
      const before = this.pairs.get(pair) ?? 0;
      this.pairs.set(pair, before + 1);
      if (before === 0) this.kinds[first] += 1;
      this.followed[first] += 1;
      this.counts[second] += 1;
      this.total += 1;
    }
  }

  /** Mean losses over every token but the first of each window; null: there is none. */
  losses(windows: Iterable<Int32Array>): Baselines | null {
    let [unigram, bigram, targets] = [0, 0, 0];
    for (const tokens of windows) {
      for (let i = 1; i < tokens.length && tokens[i] >= 0; i++) {
        const [first, second] = [tokens[i - 1], tokens[i]];
        const alone = (this.counts[second] + 1) / (this.total + this.vocab);
        const pair = this.pairs.get(first * this.vocab + second) ?? 0;
        const weight = this.followed[first] + this.kinds[first];
        unigram -= math.log(alone);
        bigram -= math.log(weight === 0 ? alone : (pair + this.kinds[first] * alone) / weight);
        targets += 1;
      }
    }
    if (targets === 0) return null;
    return { uniform: math.log(this.vocab), unigram: unigram / targets, bigram: bigram / targets };
  }
}
