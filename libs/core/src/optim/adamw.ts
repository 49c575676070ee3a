import type { Model } from '../model/index.js';
import { layOut, noNorms, type Slot } from './slots.js';
import type { Optimizer, OptimizerConfig, UpdateNorms } from './types.js';

/** Adam with decoupled weight decay (Kingma & Ba 2015; Loshchilov & Hutter 2019, algorithm 2), as PyTorch has it. */
export function adamw(config: OptimizerConfig, model: Model): Optimizer {
  const { slots, size } = layOut(model, () => true);
  const state = { exp_avg: new Float32Array(size), exp_avg_sq: new Float32Array(size) };
  return {
    name: 'adamw',
    state,
    step: (weights, gradient, learningRate, t) => {
      const norms = noNorms(model);
      const rates = adamRates(config, learningRate, t);
      for (const slot of slots) updateAdam(rates, slot, weights, gradient, state, norms);
      return norms;
    },
  };
}

export interface AdamRates {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  /** Learning rate over the first moment's bias correction, 1 − β₁ᵗ. */
  readonly rate: number;
  /** One over the root of the second moment's bias correction, 1 − β₂ᵗ. */
  readonly root: number;
  /** What decay leaves of a weight. */
  readonly keep: number;
}

export function adamRates(
  { betas, eps, weightDecay }: OptimizerConfig,
  learningRate: number,
  t: number,
): AdamRates {
  const [beta1, beta2] = betas;
  return {
    beta1,
    beta2,
    eps,
    rate: learningRate / (1 - power(beta1, t)),
    root: 1 / Math.sqrt(1 - power(beta2, t)),
    keep: 1 - learningRate * weightDecay,
  };
}

export function updateAdam(
  rates: AdamRates,
  { parameter, number, at }: Slot,
  weights: Float32Array,
  gradient: Float32Array,
  state: { readonly exp_avg: Float32Array; readonly exp_avg_sq: Float32Array },
  norms: UpdateNorms,
): void {
  const { beta1, beta2, eps, rate, root } = rates;
  const keep = parameter.decay ? rates.keep : 1;
  const rest1 = 1 - beta1;
  const rest2 = 1 - beta2;
  const { offset, size } = parameter;
  // Views over just this parameter: one index serves all four.
  const w = weights.subarray(offset, offset + size);
  const g = gradient.subarray(offset, offset + size);
  const m = state.exp_avg.subarray(at, at + size);
  const v = state.exp_avg_sq.subarray(at, at + size);
  let moved = 0;
  let length = 0;
  for (let i = 0; i < size; i++) {
    const slope = g[i];
    const mean = beta1 * m[i] + rest1 * slope;
    const square = beta2 * v[i] + rest2 * slope * slope;
    m[i] = mean;
    v[i] = square;
    const before = w[i];
    const after = Math.fround(keep * before - (rate * mean) / (Math.sqrt(square) * root + eps));
    w[i] = after;
    moved += (after - before) * (after - before);
    length += before * before;
  }
  norms.update[number] = moved;
  norms.weights[number] = length;
}

/** xᵗ for a whole t ≥ 0 by squaring: products alone, so the same bits everywhere. */
export function power(x: number, t: number): number {
  let result = 1;
  let square = x;
  for (let left = t; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) result *= square;
    square *= square;
  }
  return result;
}
