import type { BackendInfo } from '@manyhands/core/kernels';
import type { ModelConfig } from '@manyhands/core/model';

/** What a bench thread is made for. */
export interface BenchSetup {
  readonly backend: 'cpu' | 'gpujs';
  readonly model: ModelConfig;
  /** Sequences of a micro-batch. */
  readonly microBatch: number;
}

export type BenchTask = 'peak' | 'train' | 'generate';

export type BenchMessage =
  | { readonly kind: 'ready'; readonly info: BackendInfo }
  /** Work done per second: floating-point operations for `peak`, tokens for the others. */
  | { readonly kind: 'rate'; readonly rate: number }
  | { readonly kind: 'failed'; readonly message: string };
