import { BLOCK } from './tasks.js';

/** The square root of the sum of squares, in float64: block by block of the fixed grid, as blocks can be summed anywhere. */
export function globalNorm(values: Float32Array): number {
  let sum = 0;
  for (let from = 0; from < values.length; from += BLOCK) sum += blockSquares(values, from);
  return Math.sqrt(sum);
}

/** The sum of squares of the block that begins at `from`, in float64: four sums, interleaved, so that the loop is fast. */
export function blockSquares(values: Float32Array, from: number): number {
  const block = values.subarray(from, from + BLOCK);
  const { length } = block;
  const whole = length - (length % 4);
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  for (let i = 0; i < whole; i += 4) {
    s0 += block[i] * block[i];
    s1 += block[i + 1] * block[i + 1];
    s2 += block[i + 2] * block[i + 2];
    s3 += block[i + 3] * block[i + 3];
  }
  for (let i = whole; i < length; i++) s0 += block[i] * block[i];
  return s0 + s1 + (s2 + s3);
}

/** What a gradient of this norm is multiplied by: 1 up to `maxNorm`, else maxNorm/(norm + 10⁻⁶) as in PyTorch. 0 is no limit. */
export function clipFactor(norm: number, maxNorm: number): number {
  return maxNorm > 0 ? Math.min(1, maxNorm / (norm + 1e-6)) : 1;
}

export function scale(gradient: Float32Array, factor: number): void {
  if (factor === 1) return;
  for (let i = 0; i < gradient.length; i++) gradient[i] *= factor;
}

/** Scales the gradient in place to a norm of at most `maxNorm` (Pascanu et al. 2013) and returns the norm before. */
export function clipByGlobalNorm(gradient: Float32Array, maxNorm: number): number {
  const norm = globalNorm(gradient);
  if (Number.isFinite(norm)) scale(gradient, clipFactor(norm, maxNorm));
  return norm;
}
