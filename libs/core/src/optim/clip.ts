/** The square root of the sum of squares, in float64: four sums, interleaved, so that the order is fixed and the loop fast. */
export function globalNorm(gradient: Float32Array): number {
  const { length } = gradient;
  const whole = length - (length % 4);
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  for (let i = 0; i < whole; i += 4) {
    s0 += gradient[i] * gradient[i];
    s1 += gradient[i + 1] * gradient[i + 1];
    s2 += gradient[i + 2] * gradient[i + 2];
    s3 += gradient[i + 3] * gradient[i + 3];
  }
  for (let i = whole; i < length; i++) s0 += gradient[i] * gradient[i];
  return Math.sqrt(s0 + s1 + (s2 + s3));
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
