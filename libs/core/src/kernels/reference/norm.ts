interface Sizes {
  readonly n: number;
  readonly c: number;
}

export function layerNorm(
  x: Float64Array,
  weight: Float64Array,
  bias: Float64Array,
  epsilon: number,
  { n, c }: Sizes,
): { out: Float64Array; mean: Float64Array; rstd: Float64Array } {
  const result = { out: new Float64Array(n * c), mean: new Float64Array(n), rstd: new Float64Array(n) };
  for (let row = 0; row < n; row++) {
    const values = x.subarray(row * c, (row + 1) * c);
    const mean = values.reduce((sum, value) => sum + value, 0) / c;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / c;
    const rstd = 1 / Math.sqrt(variance + epsilon);
    for (let i = 0; i < c; i++) result.out[row * c + i] = (values[i] - mean) * rstd * weight[i] + bias[i];
    result.mean[row] = mean;
    result.rstd[row] = rstd;
  }
  return result;
}

/** With x̂ = (x−μ)/σ and d = g⊙weight: dx = (d − mean(d) − x̂·mean(d⊙x̂))/σ */
export function layerNormBackward(
  gradient: Float64Array,
  x: Float64Array,
  weight: Float64Array,
  mean: Float64Array,
  rstd: Float64Array,
  { n, c }: Sizes,
): { x: Float64Array; weight: Float64Array; bias: Float64Array } {
  const result = { x: new Float64Array(n * c), weight: new Float64Array(c), bias: new Float64Array(c) };
  for (let row = 0; row < n; row++) {
    let meanOfD = 0;
    let meanOfDTimesNormalized = 0;
    const normalized = (i: number) => (x[row * c + i] - mean[row]) * rstd[row];
    for (let i = 0; i < c; i++) {
      const g = gradient[row * c + i];
      result.bias[i] += g;
      result.weight[i] += g * normalized(i);
      meanOfD += (g * weight[i]) / c;
      meanOfDTimesNormalized += (g * weight[i] * normalized(i)) / c;
    }
    for (let i = 0; i < c; i++) {
      const d = gradient[row * c + i] * weight[i];
      result.x[row * c + i] = (d - meanOfD - normalized(i) * meanOfDTimesNormalized) * rstd[row];
    }
  }
  return result;
}

export function rmsNorm(
  x: Float64Array,
  weight: Float64Array,
  epsilon: number,
  { n, c }: Sizes,
): { out: Float64Array; rstd: Float64Array } {
  const result = { out: new Float64Array(n * c), rstd: new Float64Array(n) };
  for (let row = 0; row < n; row++) {
    const values = x.subarray(row * c, (row + 1) * c);
    const rstd = 1 / Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0) / c + epsilon);
    for (let i = 0; i < c; i++) result.out[row * c + i] = values[i] * rstd * weight[i];
    result.rstd[row] = rstd;
  }
  return result;
}

/** Layer norm's gradient without the terms of the mean. */
export function rmsNormBackward(
  gradient: Float64Array,
  x: Float64Array,
  weight: Float64Array,
  rstd: Float64Array,
  { n, c }: Sizes,
): { x: Float64Array; weight: Float64Array } {
  const result = { x: new Float64Array(n * c), weight: new Float64Array(c) };
  for (let row = 0; row < n; row++) {
    let meanOfDTimesNormalized = 0;
    const normalized = (i: number) => x[row * c + i] * rstd[row];
    for (let i = 0; i < c; i++) {
      const g = gradient[row * c + i];
      result.weight[i] += g * normalized(i);
      meanOfDTimesNormalized += (g * weight[i] * normalized(i)) / c;
    }
    for (let i = 0; i < c; i++) {
      const d = gradient[row * c + i] * weight[i];
      result.x[row * c + i] = (d - normalized(i) * meanOfDTimesNormalized) * rstd[row];
    }
  }
  return result;
}
