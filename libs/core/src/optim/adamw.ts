import { layOut } from './tasks.js';
import type { Planner } from './types.js';

/** Adam with decoupled weight decay (Kingma & Ba 2015; Loshchilov & Hutter 2019, algorithm 2), as PyTorch has it. */
export const adamw: Planner = (model) => {
  const { tasks, size } = layOut(model, 'adam', () => true);
  return { state: { exp_avg: size, exp_avg_sq: size }, tasks, momentum: 0, nesterov: false };
};
