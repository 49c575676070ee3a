import type { FilledConfig } from './schema.js';

export type PresetName = 'nano' | 'small' | 'gpt2';

/**
 * nano and small are nanoGPT's recipes for characters of Shakespeare, on a CPU and on a GPU; its batch of 64 is
 * 8 in small. The defaults of every key are those of nano.
 */
const nano: FilledConfig = {
  task: {
    name: 'language',
    evaluation: 'samuel',
    hidden: 32,
    depth: 3,
    openingMoves: 6,
    exploration: 0.05,
    lambda: 0.8,
    maxMoves: 200,
  },
  model: {
    arch: 'gpt2',
    layers: 4,
    heads: 4,
    kvHeads: null,
    channels: 128,
    context: 64,
    vocab: null,
    dropout: 0,
    tieEmbeddings: true,
  },
  data: {
    sources: [{ path: 'moby-dick', weight: 1 }],
    temperature: null,
    validation: 0.1,
    nearDuplicates: 'report',
    tokenizer: 'char',
  },
  optimizer: {
    name: 'adamw',
    lr: 1e-3,
    betas: [0.9, 0.99],
    eps: 1e-8,
    weightDecay: 0.1,
    momentum: 0.9,
    nesterov: false,
  },
  schedule: { name: 'cosine', warmup: null, minLr: null },
  batch: { sequences: 12, microBatch: 'auto', recompute: false, gradientClip: 1 },
  run: {
    steps: 2000,
    maxTime: null,
    seed: 1337,
    reproducible: false,
    evalEvery: 250,
    checkpointEvery: 500,
    keepLast: 3,
    stopWhenConverged: false,
    measure: true,
  },
  steering: { policy: 'warn', zScore: 10, window: 64, rateFactor: 0.1, maxRollbacks: 10 },
  cluster: {
    minWorkers: 1,
    maxWorkers: 1024,
    heartbeatSeconds: 1,
    lostAfterSeconds: 5,
    keepaliveSeconds: 20,
    verify: 0,
    listen: '127.0.0.1:0',
  },
};

const small: FilledConfig = {
  ...nano,
  model: { ...nano.model, layers: 6, heads: 6, channels: 384, context: 256, dropout: 0.2 },
  batch: { ...nano.batch, sequences: 8 },
  run: { ...nano.run, steps: 5000 },
};

/** GPT-2's smallest (Radford et al. 2019) with nanoGPT's optimiser, in steps of 32,768 tokens. */
const gpt2: FilledConfig = {
  ...nano,
  model: { ...nano.model, layers: 12, heads: 12, channels: 768, context: 1024 },
  data: { ...nano.data, tokenizer: 'r50k_base' },
  optimizer: { ...nano.optimizer, lr: 6e-4, betas: [0.9, 0.95] },
  batch: { ...nano.batch, sequences: 32 },
  run: { ...nano.run, steps: 100000, evalEvery: 1000, checkpointEvery: 1000 },
};

export const presets: Readonly<Record<PresetName, FilledConfig>> = { nano, small, gpt2 };

/** Longest warm-up that a preset asks for by itself, in steps. */
export const presetWarmup: Readonly<Record<PresetName, number>> = { nano: 100, small: 100, gpt2: 2000 };

/** What an optimiser wants otherwise than AdamW, where the config does not say. */
export const optimizerDefaults: Readonly<
  Record<FilledConfig['optimizer']['name'], Partial<FilledConfig['optimizer']>>
> = {
  adamw: {},
  sgd: { lr: 0.1, weightDecay: 0 },
  muon: { momentum: 0.95, nesterov: true },
};
