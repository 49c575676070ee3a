/** The middle value of a list that is not empty; between the two middle ones where their number is even. */
export function median(values: readonly number[]): number {
  return middleOf(new Float64Array(values).sort());
}

/** The same of a list that is sorted. */
export function middleOf(sorted: Float64Array): number {
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** What the median absolute deviation of a normal distribution is multiplied by to be its standard deviation. */
const NORMAL = 1.4826;

/** Centre and width of a list, on which single wild values have no influence (Hampel 1974). */
export function robustly(values: readonly number[]): { readonly median: number; readonly deviation: number } {
  const centre = median(values);
  return { median: centre, deviation: NORMAL * median(values.map((value) => Math.abs(value - centre))) };
}
