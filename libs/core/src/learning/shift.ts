import type { NgramModel } from './baselines.js';
import { DocumentMean, type MeanLoss } from './document-mean.js';
import { Z95 } from './interval.js';

/** How far a text lies from the mixture that a model of n-grams was counted on, in nats a token. */
export interface Shift {
  /** Of the n-grams. */
  readonly order: number;
  /** The text's mean less that of text kept apart from the mixture. */
  readonly difference: number;
  /** Standard error of the difference; null: one of the two is not known. */
  readonly error: number | null;
}

/** What a text's distribution is, next to the mixture's. */
export type Verdict = 'other' | 'no other' | 'easier' | 'unknown';

/** Cross-entropy of a text, document by document, under the n-grams of every order of a model. */
export class Surprise {
  private readonly means: readonly DocumentMean[];

  constructor(private readonly model: NgramModel) {
    this.means = Array.from({ length: model.order }, () => new DocumentMean());
  }

  /** A part of the document that is open; its first token is only read. */
  add(tokens: ArrayLike<number>): void {
    const sums = new Float64Array(this.model.order);
    const count = this.model.surprise(tokens, sums);
    this.means.forEach((mean, i) => {
      mean.add(sums[i], count);
    });
  }

  endDocument(): void {
    for (const mean of this.means) mean.endDocument();
  }

  /** At [n−1] for n-grams; null: no document has two tokens. */
  get results(): readonly MeanLoss[] | null {
    const results = this.means.flatMap(({ result }) => (result === null ? [] : [result]));
    return results.length === this.means.length ? results : null;
  }
}

/**
 * The mean of a mixture whose parts have shares: Σ share · mean, and the error of that.
 * @param parts at least one; shares need not add up to one
 */
export function mixed(parts: readonly { readonly share: number; readonly mean: MeanLoss }[]): MeanLoss {
  const total = parts.reduce((sum, { share }) => sum + share, 0);
  const over = (pick: (mean: MeanLoss, share: number) => number) =>
    parts.reduce((sum, { mean, share }) => sum + pick(mean, share / total), 0);
  const known = parts.every(({ mean }) => mean.error !== null);
  return {
    mean: over(({ mean }, share) => share * mean),
    count: over(({ count }) => count),
    documents: over(({ documents }) => documents),
    error: known ? Math.sqrt(over(({ error }, share) => (share * (error ?? 0)) ** 2)) : null,
    over: parts.some(({ mean }) => mean.over === 'parts') ? 'parts' : 'documents',
  };
}

/** Order by order, how much more a text costs than what was kept apart from the mixture. */
export function shiftOf(reference: readonly MeanLoss[], text: readonly MeanLoss[]): readonly Shift[] {
  return text.map(({ mean, error }, i) => ({
    order: i + 1,
    difference: mean - reference[i].mean,
    error: error === null || reference[i].error === null ? null : Math.hypot(error, reference[i].error),
  }));
}

/** The bounds of the difference's 95 % interval; null: not known. */
export function intervalOf({ difference, error }: Shift): readonly [low: number, high: number] | null {
  return error === null ? null : [difference - Z95 * error, difference + Z95 * error];
}

/**
 * `other` where the text costs more than the mixture's own, beyond what the choice of documents explains, and `easier` where
 * it costs less: more regular, or trained on, which is no proof of the same distribution.
 */
export function verdictOf(shift: Shift): Verdict {
  const interval = intervalOf(shift);
  if (interval === null) return 'unknown';
  if (interval[0] > 0) return 'other';
  return interval[1] < 0 ? 'easier' : 'no other';
}
