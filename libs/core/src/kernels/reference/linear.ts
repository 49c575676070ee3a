import type { WeightLayout } from '../kernels.js';

interface Sizes {
  readonly n: number;
  readonly k: number;
  readonly m: number;
}

/** Where the weight from input `i` to output `j` lies. */
function place(layout: WeightLayout, { k, m }: Sizes, i: number, j: number): number {
  return layout === 'inOut' ? i * m + j : j * k + i;
}

export function linear(
  x: Float64Array,
  weight: Float64Array,
  bias: Float64Array | null,
  layout: WeightLayout,
  sizes: Sizes,
): Float64Array {
  const { n, k, m } = sizes;
  const out = new Float64Array(n * m);
  for (let row = 0; row < n; row++) {
    for (let j = 0; j < m; j++) {
      let sum = 0;
      for (let i = 0; i < k; i++) sum += x[row * k + i] * weight[place(layout, sizes, i, j)];
      out[row * m + j] = sum + (bias ? bias[j] : 0);
    }
  }
  return out;
}

/** dx = g·Wᵀ, dW = xᵀ·g, db = Σ g */
export function linearBackward(
  gradient: Float64Array,
  x: Float64Array,
  weight: Float64Array,
  layout: WeightLayout,
  sizes: Sizes,
): { x: Float64Array; weight: Float64Array; bias: Float64Array } {
  const { n, k, m } = sizes;
  const result = { x: new Float64Array(n * k), weight: new Float64Array(k * m), bias: new Float64Array(m) };
  for (let row = 0; row < n; row++) {
    for (let j = 0; j < m; j++) {
      const g = gradient[row * m + j];
      result.bias[j] += g;
      for (let i = 0; i < k; i++) {
        const at = place(layout, sizes, i, j);
        result.x[row * k + i] += g * weight[at];
        result.weight[at] += g * x[row * k + i];
      }
    }
  }
  return result;
}
