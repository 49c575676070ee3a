import type { ModelConfig } from './types.js';

/** Models of a few hundred parameters, for tests: odd sizes, grouped queries, heads tied and not. */
export const tinyGpt2: ModelConfig = {
  arch: 'gpt2',
  layers: 2,
  heads: 2,
  kvHeads: 2,
  channels: 6,
  hidden: 10,
  context: 7,
  vocab: 11,
  dropout: 0,
  tieEmbeddings: true,
  activation: 'gelu_new',
  epsilon: 1e-5,
  ropeTheta: 10000,
};

export const tinyLlama: ModelConfig = {
  ...tinyGpt2,
  arch: 'llama',
  heads: 4,
  kvHeads: 2,
  channels: 8,
  activation: 'silu',
};

export const tinyModels: Readonly<Record<string, ModelConfig>> = {
  'gpt2, tied': tinyGpt2,
  'gpt2, untied, exact GELU': { ...tinyGpt2, tieEmbeddings: false, activation: 'gelu' },
  'llama, tied': tinyLlama,
  'llama, untied': { ...tinyLlama, tieEmbeddings: false },
};
