/** A figure that was measured several times: its median, and how far the middle half of the values lies apart. */
export interface Figure {
  readonly median: number;
  /** Interquartile range. */
  readonly spread: number;
}

/** @throws RangeError for no values */
export function figureOf(values: readonly number[]): Figure {
  if (values.length === 0) throw new RangeError('a figure needs a value');
  const sorted = values.toSorted((a, b) => a - b);
  return { median: quantile(sorted, 0.5), spread: quantile(sorted, 0.75) - quantile(sorted, 0.25) };
}

/** Between two values in proportion (Hyndman & Fan 1996, definition 7, as R and NumPy have it). */
function quantile(sorted: readonly number[], part: number): number {
  const at = part * (sorted.length - 1);
  const low = Math.floor(at);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (at - low) * (sorted[high] - sorted[low]);
}
