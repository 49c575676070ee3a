import { math } from '../numeric/index.js';
import { trendOf } from './trend.js';

/** A step of a range test: its learning rate, and the loss in nats a token that its update led to. */
export interface RangePoint {
  readonly rate: number;
  readonly loss: number;
}

/** What a range test found: three rates, in two digits. */
export interface Proposal {
  /** The highest up to which the loss surely falls. */
  readonly rate: number;
  /** Where it begins to. */
  readonly from: number;
  /** Where it falls fastest. */
  readonly steepest: number;
}

/** A slope is taken over a decade of rates: a tenth to ten times. Its half, as a logarithm. */
const HALF_WINDOW = math.log(10) / 2;
/** Of logarithms: what rounding does to them decides about no window. */
const ROUNDING = 1e-9;

/**
 * Reads a learning rate from a run whose rate rose by the same factor at each step, as Smith 2015 (arXiv 1506.01186,
 * section 3.3) does by eye. A fall is believed where the 95 % interval of the loss's slope over the logarithm of the rate is
 * below 0: robust, since neighbouring losses are of different batches. The range is the one around the steepest fall: past it a
 * model that was thrown far off may fall once more. null: no rate surely makes the loss fall.
 * @param points in the order of their rates
 */
export function proposeRate(points: readonly RangePoint[]): Proposal | null {
  const curve = points
    .filter(({ loss }) => Number.isFinite(loss))
    .map(({ rate, loss }) => ({ step: math.log(rate), loss }));
  if (curve.length === 0) return null;
  const reach = HALF_WINDOW + ROUNDING;
  const [first, last] = [curve[0].step - ROUNDING, curve[curve.length - 1].step + ROUNDING];
  const slopes = curve
    .map(({ step }) => step)
    .filter((centre) => centre - HALF_WINDOW >= first && centre + HALF_WINDOW <= last)
    .map((centre) => {
      const trend = trendOf(curve.filter(({ step }) => Math.abs(step - centre) <= reach));
      return { rate: twoDigits(math.exp(centre)), fall: trend !== null && trend.high < 0 ? -trend.slope : 0 };
    });
  const steepest = slopes.reduce((best, { fall }, at) => (fall > (slopes[best]?.fall ?? 0) ? at : best), 0);
  const falls = (at: number) => (slopes[at]?.fall ?? 0) > 0;
  if (!falls(steepest)) return null;
  let [low, high] = [steepest, steepest];
  while (falls(low - 1)) low -= 1;
  while (falls(high + 1)) high += 1;
  return { rate: slopes[high].rate, from: slopes[low].rate, steepest: slopes[steepest].rate };
}

/** More are not known. */
function twoDigits(value: number): number {
  return Number(value.toPrecision(2));
}
