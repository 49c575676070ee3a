import { math } from '../../numeric/index.js';
import type { RopeOptions } from '../kernels.js';

/** The pair (i, i + headDim/2) of each head turns by position · theta^(−2i/headDim). */
export function rope(
  x: Float64Array,
  positions: Int32Array,
  { heads, headDim, theta }: RopeOptions,
  inverse: boolean,
): Float64Array {
  const out = new Float64Array(x.length);
  const half = headDim / 2;
  for (const [row, position] of positions.entries()) {
    for (let i = 0; i < half; i++) {
      const angle = position * math.pow(theta, (-2 * i) / headDim);
      const cosine = math.cos(angle);
      const sine = inverse ? -math.sin(angle) : math.sin(angle);
      for (let h = 0; h < heads; h++) {
        const low = (row * heads + h) * headDim + i;
        out[low] = x[low] * cosine - x[low + half] * sine;
        out[low + half] = x[low + half] * cosine + x[low] * sine;
      }
    }
  }
  return out;
}
