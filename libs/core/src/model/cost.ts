import { Graph } from '../graph/index.js';
import { CountingKernels } from './counting-kernels.js';
import { forward } from './forward.js';
import { createModel } from './model.js';
import { parameterNodes } from './parameters.js';
import type { Model, ModelConfig } from './types.js';

export function parameterCount(config: ModelConfig): number {
  return createModel(config).size;
}

/**
 * Floating-point operations of training on one token, forward and backward: 6 for each weight of a matrix product
 * and 12·layers·channels·context for attention, of which causality is not subtracted (Chowdhery et al. 2022,
 * appendix B). Looking up an embedding is none; the head counts, tied or not.
 */
export function flopsPerToken(config: ModelConfig): number {
  const { layers, channels, context, vocab } = config;
  const inner = createModel(config).parameters.reduce(
    (sum, p) => (p.kind === 'matrix' ? sum + p.size : sum),
    0,
  );
  return 6 * (inner + vocab * channels) + 12 * layers * channels * context;
}

/**
 * Bytes that one micro-batch needs on the device beside the weights, at its peak: every activation, every gradient
 * of an activation or parameter. Work space inside a kernel is not in it.
 */
export function activationBytes(model: Model, batch: number, time: number): number {
  const kernels = new CountingKernels();
  const weights = new Map(model.parameters.map(({ name, shape }) => [name, kernels.zeros(shape)]));
  const before = kernels.bytes;
  const graph = new Graph(kernels);
  const ids = new Int32Array(batch * time);
  const dropout = { seed: 0, step: 0, microBatch: 0 };
  const logits = forward(graph, model, parameterNodes(graph, weights), { ids, batch, time, dropout });
  const targets = graph.input('targets', kernels.indices(ids));
  graph.backward(graph.crossEntropy(logits, targets));
  return kernels.bytes - before;
}

export interface MemoryEstimate {
  /** The weights, once. */
  readonly weights: number;
  /** See activationBytes. */
  readonly activations: number;
  /** A thread that trains: its weights on the device, one micro-batch, and the gradient that it hands over. */
  readonly thread: number;
  /** The reduction of a batch on one machine, fed in order: ⌈log₂ M⌉ + 1 gradients. */
  readonly reduction: number;
}

/** Bytes needed to train on batches of `microBatches` micro-batches of [batch,time] tokens. */
export function memoryEstimate(model: Model, batch: number, time: number, microBatches = 1): MemoryEstimate {
  const weights = 4 * model.size;
  const activations = activationBytes(model, batch, time);
  const reduction = weights * (Math.ceil(Math.log2(microBatches)) + 1);
  return { weights, activations, thread: 2 * weights + activations, reduction };
}
