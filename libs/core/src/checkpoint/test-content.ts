/** For tests: a model of a few hundred weights, and checkpoints of it that differ from step to step. */
import { createModel } from '../model/index.js';
import type { CheckpointContent } from './index.js';

export const model = createModel({
  arch: 'gpt2',
  layers: 1,
  heads: 2,
  kvHeads: 2,
  channels: 4,
  hidden: 16,
  context: 4,
  vocab: 5,
  dropout: 0,
  tieEmbeddings: true,
  activation: 'gelu_new',
  epsilon: 1e-5,
  ropeTheta: 10000,
});

export function contentOf(step: number): CheckpointContent {
  return {
    step,
    model,
    weights: Float32Array.from({ length: model.size }, (_, i) => step + i / 1000),
    optimizer: {
      exp_avg: new Float32Array(model.size).fill(step),
      exp_avg_sq: new Float32Array(model.size).fill(step / 2),
    },
    state: {
      seed: 7,
      appliedSteps: step,
      skippedSteps: 0,
      tokensSeen: 100 * step,
      bestValidationLoss: 1.5,
      bestStep: step,
      versions: { manyhands: '0.1.0' },
    },
    tokenizerJson: '{"added_tokens":[]}',
  };
}
