import type { OptimizerConfig, Plan } from './types.js';

/** The numbers of one step, the same for every parameter. */
export interface Rates {
  /** What the sum of the gradients is multiplied by before it is rounded to float32: mean and clipping in one. */
  readonly factor: number;
  readonly learningRate: number;
  /** What decay leaves of a weight. */
  readonly keep: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  /** Learning rate over the first moment's bias correction, 1 − β₁ᵗ. */
  readonly adamRate: number;
  /** One over the root of the second moment's bias correction, 1 − β₂ᵗ. */
  readonly adamRoot: number;
  readonly momentum: number;
  readonly nesterov: boolean;
}

export function ratesOf(
  config: OptimizerConfig,
  plan: Plan,
  { factor, learningRate, t }: { factor: number; learningRate: number; t: number },
): Rates {
  const [beta1, beta2] = config.betas;
  return {
    factor,
    learningRate,
    keep: 1 - learningRate * config.weightDecay,
    beta1,
    beta2,
    eps: config.eps,
    adamRate: learningRate / (1 - power(beta1, t)),
    adamRoot: 1 / Math.sqrt(1 - power(beta2, t)),
    momentum: config.momentum ?? plan.momentum,
    nesterov: config.nesterov ?? plan.nesterov,
  };
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
