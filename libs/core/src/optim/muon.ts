import type { Model, Parameter } from '../model/index.js';
import { adamRates, updateAdam } from './adamw.js';
import { orthogonalize } from './newton-schulz.js';
import { layOut, noNorms, type Slot } from './slots.js';
import type { Optimizer, OptimizerConfig, UpdateNorms } from './types.js';

/**
 * Momentum orthogonalised by Newton–Schulz for the matrices between hidden layers (Jordan et al. 2024); AdamW for
 * embeddings, the head and vectors. An update is scaled by 0.2·√(longer side), so that its entries are as large as
 * AdamW's and one learning rate serves both (Liu et al. 2025, "Muon is scalable for LLM training", section 2.2).
 */
export function muon(config: OptimizerConfig, model: Model): Optimizer {
  const isHidden = (parameter: Parameter) => parameter.kind === 'matrix';
  const hidden = layOut(model, isHidden);
  const others = layOut(model, (parameter) => !isHidden(parameter));
  const state = {
    momentum_buffer: new Float32Array(hidden.size),
    exp_avg: new Float32Array(others.size),
    exp_avg_sq: new Float32Array(others.size),
  };
  return {
    name: 'muon',
    state,
    step: (weights, gradient, learningRate, t) => {
      const norms = noNorms(model);
      const rates = adamRates(config, learningRate, t);
      for (const slot of hidden.slots) {
        updateMuon(config, slot, weights, gradient, state.momentum_buffer, learningRate, norms);
      }
      for (const slot of others.slots) updateAdam(rates, slot, weights, gradient, state, norms);
      return norms;
    },
  };
}

function updateMuon(
  { momentum = 0.95, nesterov = true, weightDecay }: OptimizerConfig,
  { parameter, number, at }: Slot,
  weights: Float32Array,
  gradient: Float32Array,
  momentumBuffer: Float32Array,
  learningRate: number,
  norms: UpdateNorms,
): void {
  const { offset, size, shape } = parameter;
  const [rows, columns] = shape;
  const w = weights.subarray(offset, offset + size);
  const g = gradient.subarray(offset, offset + size);
  const b = momentumBuffer.subarray(at, at + size);
  const direction = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    const slope = g[i];
    const velocity = momentum * b[i] + slope;
    b[i] = velocity;
    direction[i] = nesterov ? slope + momentum * velocity : velocity;
  }
  orthogonalize(direction, rows, columns);
  const rate = learningRate * 0.2 * Math.sqrt(Math.max(rows, columns));
  const keep = 1 - learningRate * weightDecay;
  let moved = 0;
  let length = 0;
  for (let i = 0; i < size; i++) {
    const before = w[i];
    const after = Math.fround(keep * before - rate * direction[i]);
    w[i] = after;
    moved += (after - before) * (after - before);
    length += before * before;
  }
  norms.update[number] = moved;
  norms.weights[number] = length;
}
