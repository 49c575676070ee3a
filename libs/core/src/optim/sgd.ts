import { layOut } from './tasks.js';
import type { Planner } from './types.js';

/**
 * Gradient descent with momentum (Polyak 1964), Nesterov's where asked for (Sutskever et al. 2013), both as PyTorch
 * writes them: the momentum is a sum of gradients, not a mean. Decay is decoupled (SGDW, Loshchilov & Hutter 2019).
 */
export const sgd: Planner = (model) => {
  const { tasks, size } = layOut(model, 'momentum', () => true);
  return { state: { momentum_buffer: size }, tasks, momentum: 0.9, nesterov: false };
};
