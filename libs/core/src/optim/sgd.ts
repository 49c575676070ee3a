import type { Model } from '../model/index.js';
import { layOut, noNorms } from './slots.js';
import type { Optimizer, OptimizerConfig } from './types.js';

/**
 * Gradient descent with momentum (Polyak 1964), Nesterov's where asked for (Sutskever et al. 2013), both as PyTorch
 * writes them: the momentum is a sum of gradients, not a mean. Decay is decoupled (SGDW, Loshchilov & Hutter 2019).
 */
export function sgd(config: OptimizerConfig, model: Model): Optimizer {
  const { momentum = 0.9, nesterov = false, weightDecay } = config;
  const { slots, size: total } = layOut(model, () => true);
  const state = { momentum_buffer: new Float32Array(total) };
  return {
    name: 'sgd',
    state,
    step: (weights, gradient, learningRate) => {
      const norms = noNorms(model);
      for (const { parameter, number } of slots) {
        const { offset, size, decay } = parameter;
        const keep = decay ? 1 - learningRate * weightDecay : 1;
        const w = weights.subarray(offset, offset + size);
        const g = gradient.subarray(offset, offset + size);
        const b = state.momentum_buffer.subarray(offset, offset + size);
        let moved = 0;
        let length = 0;
        for (let i = 0; i < size; i++) {
          const slope = g[i];
          const velocity = momentum * b[i] + slope;
          b[i] = velocity;
          const before = w[i];
          const direction = nesterov ? slope + momentum * velocity : velocity;
          const after = Math.fround(keep * before - learningRate * direction);
          w[i] = after;
          moved += (after - before) * (after - before);
          length += before * before;
        }
        norms.update[number] = moved;
        norms.weights[number] = length;
      }
      return norms;
    },
  };
}
