import type { Range } from '@manyhands/core/reduce';

/** For each micro-batch of an assignment, in order. */
export interface Losses {
  /** In nats. */
  readonly sums: readonly number[];
  readonly targets: readonly number[];
}

/** Sums over as many micro-batches, the latest of which a new one is held against; fewer than the least say nothing. */
const REMEMBERED = 100;
const LEAST = 20;
/** Robust deviations from the median; of ordinary sums of an ordinary run none is so far off. */
const UNLIKELY = 10;
/** Of the logarithm of a norm: a run whose sums are all alike is not alarmed by one that is a little larger. */
const LEAST_DEVIATION = 0.1;
/** Makes the median absolute deviation of a normal distribution its standard deviation. */
const NORMAL = 1.4826;

/**
 * Looks at every partial sum as it comes, piece by piece, and says what is unlikely about it: values that are not finite,
 * or a norm per target far from that of recent sums over as many micro-batches, by the robust z-score of its logarithm
 * (Iglewicz & Hoaglin 1993). A sum that is unlikely may still be right: only computing it again can tell.
 */
export class SumWatch {
  /** By assignment: the squares of its sum so far. */
  private readonly squares = new Map<number, number>();
  /** By the number of micro-batches: logarithms of norms per target, oldest first. */
  private readonly norms = new Map<number, number[]>();

  piece(assignment: number, values: Float32Array): void {
    this.squares.set(assignment, (this.squares.get(assignment) ?? 0) + sumOfSquares(values));
  }

  /** The sum is whole: what is unlikely about it, in words; null for nothing. */
  whole(assignment: number, { count }: Range, { sums, targets }: Losses): string | null {
    const norm = Math.sqrt(this.squares.get(assignment) ?? 0);
    this.squares.delete(assignment);
    if (!Number.isFinite(norm)) return 'a gradient that is not finite';
    if (!sums.every(Number.isFinite)) return 'a loss that is not finite';
    const perTarget = norm / Math.max(1, total(targets));
    const value = Math.log(Math.max(perTarget, Number.MIN_VALUE));
    const known = this.norms.get(count) ?? [];
    this.norms.set(count, [...known, value].slice(-REMEMBERED));
    if (known.length < LEAST) return null;
    const middle = median(known);
    const spread = NORMAL * median(known.map((other) => Math.abs(other - middle)));
    const deviations = Math.abs(value - middle) / Math.max(spread, LEAST_DEVIATION);
    if (deviations <= UNLIKELY) return null;
    return `a gradient of norm ${perTarget.toPrecision(3)} a target where ${Math.exp(middle).toPrecision(3)} is usual, ${deviations.toPrecision(3)} deviations away`;
  }

  /** Forgets sums that never became whole. */
  clear(): void {
    this.squares.clear();
  }
}

/** In float64; not finite where a value is not. Four sums side by side, since each addition waits for the one before. */
function sumOfSquares(values: Float32Array): number {
  let [a, b, c, d] = [0, 0, 0, 0];
  const whole = values.length - (values.length % 4);
  for (let i = 0; i < whole; i += 4) {
    a += values[i] * values[i];
    b += values[i + 1] * values[i + 1];
    c += values[i + 2] * values[i + 2];
    d += values[i + 3] * values[i + 3];
  }
  for (let i = whole; i < values.length; i++) a += values[i] * values[i];
  return a + b + (c + d);
}

function median(values: readonly number[]): number {
  const sorted = Float64Array.from(values).sort();
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
