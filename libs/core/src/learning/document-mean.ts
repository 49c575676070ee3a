/** A mean of so many tokens (or bytes), with what the choice of the texts leaves uncertain about it. */
export interface MeanLoss {
  readonly mean: number;
  /** Tokens that it is the mean of. */
  readonly count: number;
  readonly documents: number;
  /** Standard error of the mean; null: there is one part only, which tells of no spread. */
  readonly error: number | null;
  /** What the standard error was taken over: documents, or the parts of the one that there is. */
  readonly over: 'documents' | 'parts';
}

/** Sums over units of text, each of a total loss and a number of tokens. */
class UnitSums {
  units = 0;
  sum = 0;
  count = 0;
  private squares = 0;
  private products = 0;
  private squaredCounts = 0;

  add(sum: number, count: number): void {
    this.units += 1;
    this.sum += sum;
    this.count += count;
    this.squares += sum * sum;
    this.products += sum * count;
    this.squaredCounts += count * count;
  }

  merge(other: UnitSums): void {
    this.units += other.units;
    this.sum += other.sum;
    this.count += other.count;
    this.squares += other.squares;
    this.products += other.products;
    this.squaredCounts += other.squaredCounts;
  }

  /**
   * Standard error of sum/count, where both vary from unit to unit: the ratio estimator (Cochran 1977, Sampling
   * Techniques, §6.4). null below two units.
   */
  get error(): number | null {
    const { units, squares, products, squaredCounts } = this;
    if (units < 2) return null;
    const ratio = this.sum / this.count;
    const deviations = squares - 2 * ratio * products + ratio * ratio * squaredCounts;
    return Math.sqrt((Math.max(0, deviations) * units) / (units - 1)) / this.count;
  }
}

/**
 * Mean loss of a token over documents that are added part by part. Tokens of one text are alike, so its standard error
 * is taken over documents; over parts only where there is a single document.
 */
export class DocumentMean {
  private readonly documents = new UnitSums();
  private readonly parts = new UnitSums();
  private open = new UnitSums();

  /** A part of the document that is open: the sum of its losses, and how many they are. */
  add(sum: number, count: number): void {
    if (count > 0) this.open.add(sum, count);
  }

  /** The document is over; what is added next belongs to another. */
  endDocument(): void {
    if (this.open.units > 0) this.documents.add(this.open.sum, this.open.count);
    this.parts.merge(this.open);
    this.open = new UnitSums();
  }

  /** Takes over a document that another mean has open. */
  addOpen(other: DocumentMean): void {
    this.open.merge(other.open);
  }

  /** Of the documents that are over; null: there is nothing in them. */
  get result(): MeanLoss | null {
    const { documents, parts } = this;
    if (documents.units === 0) return null;
    const alone = documents.units === 1;
    return {
      mean: documents.sum / documents.count,
      count: documents.count,
      documents: documents.units,
      error: (alone ? parts : documents).error,
      over: alone ? 'parts' : 'documents',
    };
  }
}
