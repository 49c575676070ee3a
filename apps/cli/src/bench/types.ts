import type { PresetName } from '@manyhands/core/config';
import type { BackendInfo } from '@manyhands/core/kernels';
import type { ModelConfig } from '@manyhands/core/model';
import type { Figure } from './figure.js';

/** One thing to measure. */
export interface BenchCase {
  readonly preset: PresetName;
  readonly backend: 'cpu' | 'gpujs';
  readonly threads: number;
  /** WebAssembly alone, without what differs between processors. */
  readonly reproducible: boolean;
}

/** How long to measure. */
export interface BenchEffort {
  /** Of each figure; their median counts. */
  readonly rounds: number;
  /** Of a round, at least. */
  readonly seconds: number;
}

export interface BenchResult extends BenchCase {
  /** What really computed: `wasm-simd+native`, `webgpu`, `webasm` … */
  readonly mode: string;
  readonly device: string;
  readonly parameters: number;
  readonly vocab: number;
  /** Sequences × tokens of a micro-batch. */
  readonly microBatch: readonly [number, number];
  /** Of gradients, all threads together. */
  readonly tokensPerSecond: Figure;
  readonly gflops: Figure;
  /** Of square matrix products alone, all threads together, between the rounds of training. */
  readonly peakGflops: Figure;
  /** gflops ÷ peakGflops, of each round and the products beside it. */
  readonly mfu: Figure;
  /** Of the preset's training time: what watching the run's learning takes (`run.measure`). */
  readonly measuring: Figure;
  /** One sequence on one thread, the prompt not counted. */
  readonly generateTokensPerSecond: Figure;
  /** What one thread's work space takes: weights, a sum of gradients, activations. */
  readonly workspaceBytes: number;
  /** Of a whole process that trains, at its highest. */
  readonly residentBytes: number;
}

/** How a figure stands against a former one. */
export interface Comparison {
  /** The case, and the figure's key. */
  readonly name: string;
  readonly figure: string;
  readonly before: number;
  readonly now: number;
  /** now ÷ before */
  readonly ratio: number;
  /** Worse by more than the spread of both times and a tenth. */
  readonly worse: boolean;
}

/** What a thread is made for. */
export interface ThreadSetup {
  readonly backend: 'cpu' | 'gpujs';
  readonly reproducible: boolean;
  /** As the first thread measured them; null for that one. */
  readonly choices: string | null;
  readonly model: ModelConfig;
  /** Sequences of a micro-batch, and micro-batches of a sum. */
  readonly microBatch: number;
  readonly microBatches: number;
  readonly seconds: number;
}

export type Task = 'peak' | 'train' | 'generate';

export type ThreadMessage =
  | { readonly kind: 'ready'; readonly info: BackendInfo; readonly choices: string }
  /** Work done per second: floating-point operations for `peak`, tokens for the others. */
  | { readonly kind: 'rate'; readonly rate: number }
  | { readonly kind: 'failed'; readonly message: string };

export type ProcessMessage =
  | { readonly kind: 'result'; readonly result: BenchResult }
  | { readonly kind: 'failed'; readonly message: string };
