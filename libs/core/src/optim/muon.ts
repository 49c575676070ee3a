import type { Parameter } from '../model/index.js';
import { layOut } from './tasks.js';
import type { Planner } from './types.js';

/**
 * Momentum orthogonalised by Newton–Schulz for the matrices between hidden layers (Jordan et al. 2024); AdamW for
 * embeddings, the head and vectors. An update is scaled by 0.2·√(longer side), so that its entries are as large as
 * AdamW's and one learning rate serves both (Liu et al. 2025, "Muon is scalable for LLM training", section 2.2).
 */
export const muon: Planner = (model) => {
  const isHidden = ({ kind }: Parameter) => kind === 'matrix';
  const hidden = layOut(model, 'muon', isHidden, true);
  const others = layOut(model, 'adam', (parameter) => !isHidden(parameter));
  return {
    state: { momentum_buffer: hidden.size, exp_avg: others.size, exp_avg_sq: others.size },
    tasks: [...hidden.tasks.sort((a, b) => b.to - b.from - (a.to - a.from)), ...others.tasks],
    momentum: 0.95,
    nesterov: true,
  };
};
