import { DocumentMean, type MeanLoss } from './document-mean.js';

/** The mean loss of what lies between two numbers, both included. */
export interface Range extends MeanLoss {
  readonly from: number;
  readonly to: number;
}

export interface Profile {
  /** By how many tokens a document has; only lengths that occurred. */
  readonly lengths: readonly Range[];
  /** By how many tokens the model saw in front of the one that it had to predict. */
  readonly positions: readonly Range[];
}

/**
 * Where in its texts a model's loss is high: by the length of a document and by the position in the context. Constant
 * memory, whatever the texts.
 */
export class LossProfile {
  private readonly starts: readonly number[];
  private readonly positions: readonly DocumentMean[];
  private readonly lengths = new Map<number, DocumentMean>();
  private document = new DocumentMean();
  private targets = 0;

  constructor(private readonly context: number) {
    this.starts = positionStarts(context);
    this.positions = this.starts.map(() => new DocumentMean());
  }

  /** @param losses of one window of the document that is open: at [t] after t+1 tokens, up to the context */
  add(losses: ArrayLike<number>): void {
    let all = 0;
    this.starts.forEach((start, bin) => {
      const end = Math.min(losses.length, (this.starts[bin + 1] ?? this.context + 1) - 1);
      let sum = 0;
      for (let t = start - 1; t < end; t++) sum += losses[t];
      this.positions[bin].add(sum, Math.max(0, end - start + 1));
      all += sum;
    });
    this.document.add(all, losses.length);
    this.targets += losses.length;
  }

  endDocument(): void {
    const power = lengthPower(this.targets + 1);
    const mean = this.lengths.get(power) ?? new DocumentMean();
    this.lengths.set(power, mean);
    mean.addOpen(this.document);
    for (const each of [mean, ...this.positions]) each.endDocument();
    this.document = new DocumentMean();
    this.targets = 0;
  }

  get profile(): Profile {
    const ranges = (entries: readonly (readonly [from: number, to: number, DocumentMean])[]) =>
      entries.flatMap(([from, to, { result }]) => (result === null ? [] : [{ from, to, ...result }]));
    return {
      lengths: ranges(
        [...this.lengths]
          .sort(([a], [b]) => a - b)
          .map(([power, mean]) => [4 ** power, 4 ** (power + 1) - 1, mean]),
      ),
      positions: ranges(
        this.positions.map((mean, bin) => [
          this.starts[bin],
          (this.starts[bin + 1] ?? this.context + 1) - 1,
          mean,
        ]),
      ),
    };
  }
}

/** Lengths from 4ⁿ to 4ⁿ⁺¹ − 1 tokens belong together. */
function lengthPower(tokens: number): number {
  let power = 0;
  while (4 ** (power + 1) <= tokens) power += 1;
  return power;
}

/** One position each at first, where every token counts, then ranges that grow by half an octave. */
function positionStarts(context: number): number[] {
  const starts: number[] = [];
  for (let start = 1; start <= context; start = Math.max(start + 1, Math.round(start * Math.SQRT2))) {
    starts.push(start);
  }
  return starts;
}
