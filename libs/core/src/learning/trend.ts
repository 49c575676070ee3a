import { Z95 } from './interval.js';
import { middleOf } from './robust.js';

export interface Point {
  readonly step: number;
  readonly loss: number;
}

/** How a curve runs: its slope in nats a step, with the bounds of a 95 % confidence interval. */
export interface Trend {
  readonly slope: number;
  readonly low: number;
  readonly high: number;
  /** The first and the last step of the curve. */
  readonly from: number;
  readonly to: number;
}

/** More points are averaged in blocks: pairs grow with the square. */
const MOST_POINTS = 200;
const FEWEST_POINTS = 8;

/**
 * The median of the slopes of all pairs of points (Theil 1950), and its interval from the distribution of Kendall's S
 * (Sen 1968): a spike, or noise of any shape, moves it little. null: too few points.
 */
export function trendOf(curve: readonly Point[]): Trend | null {
  const points = inBlocks(curve);
  const count = points.length;
  if (count < FEWEST_POINTS) return null;
  const slopes = new Float64Array((count * (count - 1)) / 2);
  let at = 0;
  for (let i = 0; i < count; i++) {
    for (let j = i + 1; j < count; j++) {
      slopes[at++] = (points[j].loss - points[i].loss) / (points[j].step - points[i].step);
    }
  }
  slopes.sort();
  const half = (Z95 * Math.sqrt((count * (count - 1) * (2 * count + 5)) / 18)) / 2;
  const middle = slopes.length / 2;
  return {
    slope: middleOf(slopes),
    low: slopes[Math.max(0, Math.floor(middle - half))],
    high: slopes[Math.min(slopes.length - 1, Math.ceil(middle + half))],
    from: curve[0].step,
    to: curve[curve.length - 1].step,
  };
}

/** Neighbours averaged, so that no more than MOST_POINTS are left; the last block may be shorter. */
function inBlocks(curve: readonly Point[]): readonly Point[] {
  const size = Math.ceil(curve.length / MOST_POINTS);
  if (size <= 1) return curve;
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return Array.from({ length: Math.ceil(curve.length / size) }, (_, index) => {
    const block = curve.slice(index * size, (index + 1) * size);
    return { step: mean(block.map(({ step }) => step)), loss: mean(block.map(({ loss }) => loss)) };
  });
}
