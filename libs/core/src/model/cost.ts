import { createCpuPlanner } from '../kernels/index.js';
import { createModel } from './model.js';
import { trainingProgram } from './programs.js';
import type { Layout, Model, ModelConfig } from './types.js';
import { type ValueModel, valueProgram } from './value.js';

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
 * Bytes that one micro-batch needs on the cpu backend beside the weights, at its peak: found by planning the very
 * program that will train.
 */
export function activationBytes(model: Model, batch: number, time: number, recompute = false): number {
  const kernels = createCpuPlanner();
  const weights = new Map(model.parameters.map(({ name, shape }) => [name, kernels.zeros(shape)]));
  const options = { dropout: { seed: 0, step: 0, microBatch: 0 }, recompute };
  return trainingProgram(kernels, model, weights, { batch, time }, options, () => {}).program.bytes;
}

export interface MemoryEstimate {
  /** The weights, once. */
  readonly weights: number;
  /** See activationBytes. */
  readonly activations: number;
  /** A thread that trains: its weights, one micro-batch, and the sums of those before it in the batch's tree. */
  readonly thread: number;
  /** The reduction of a batch on one machine, fed in order: ⌈log₂ M⌉ + 1 gradients. */
  readonly reduction: number;
}

/** Bytes needed to train on batches of `microBatches` micro-batches of [batch,time] tokens. */
export function memoryEstimate(
  model: Model,
  batch: number,
  time: number,
  microBatches = 1,
  recompute = false,
): MemoryEstimate {
  return memoryOf(model, activationBytes(model, batch, time, recompute), microBatches);
}

/** The same of a model that values positions, in micro-batches of so many of them. */
export function valueMemoryEstimate(model: ValueModel, rows: number, microBatches: number): MemoryEstimate {
  const kernels = createCpuPlanner();
  const weights = new Map(model.parameters.map(({ name, shape }) => [name, kernels.zeros(shape)]));
  const { program } = valueProgram(kernels, model, weights, rows, () => {});
  const inputs = 4 * rows * (model.config.inputs + 1);
  return memoryOf(model, program.bytes + inputs, microBatches);
}

function memoryOf(model: Layout, activations: number, microBatches: number): MemoryEstimate {
  const weights = 4 * model.size;
  const levels = Math.ceil(Math.log2(microBatches));
  return {
    weights,
    activations,
    thread: weights * (1 + levels) + activations,
    reduction: weights * (levels + 1),
  };
}
