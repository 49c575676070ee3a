import type { RunConfig } from './config.js';

/**
 * Positions (sequences × context) that a micro-batch should have: from the first number on a larger one no longer makes
 * the whole run faster; down to the second, two halves on two threads are faster than one whole.
 */
const enoughPositions = [192, 128];

/**
 * Sequences in one micro-batch. Rounding depends on it, so it follows from the config alone, never from a
 * machine: `auto` is the smallest divisor of `batch.sequences`, but not all of them, that makes 192 positions, else 128
 * positions, and all sequences where none does. Small micro-batches spread over more workers.
 */
export function microBatchSize(config: Pick<RunConfig, 'batch' | 'model'>): number {
  const { sequences, microBatch } = config.batch;
  if (microBatch !== 'auto') return microBatch;
  for (const enough of enoughPositions) {
    for (let size = 1; size < sequences; size++) {
      if (sequences % size === 0 && size * config.model.context >= enough) return size;
    }
  }
  return sequences;
}

/** Micro-batches in a step; the last one is smaller where the size does not divide the batch. */
export function microBatchCount(config: Pick<RunConfig, 'batch' | 'model'>): number {
  return Math.ceil(config.batch.sequences / microBatchSize(config));
}

/**
 * The config with the number that `auto` stands for, which is what a run keeps: another version may choose otherwise.
 * A run that goes on, `started`, has settled already, and `auto` means its number.
 */
export function settleMicroBatch(config: RunConfig, started: RunConfig | null = null): RunConfig {
  if (config.batch.microBatch !== 'auto') return config;
  return { ...config, batch: { ...config.batch, microBatch: microBatchSize(started ?? config) } };
}
