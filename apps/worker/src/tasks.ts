import type { BackendChoice, BackendInfo } from '@manyhands/core/kernels';
import type { ModelConfig } from '@manyhands/core/model';
import type { MicroBatch } from '@manyhands/core/train';

/** What crosses from the worker to one of its threads and back; arrays over shared memory are not copied. */

export interface ThreadSetup {
  readonly model: ModelConfig;
  readonly reproducible: boolean;
  /** Two versions of the flat weights: version v is in slot v mod 2. */
  readonly weights: readonly [Float32Array, Float32Array];
}

/** What a thread computes with. */
export interface Engine {
  readonly backend: BackendChoice;
  /** What the run's first worker of this kind of machine chose; null: measure. */
  readonly choices: string | null;
}

export type ThreadTask =
  | { readonly kind: 'warm'; readonly engine: Engine }
  | {
      readonly kind: 'sum';
      readonly engine: Engine;
      readonly version: number;
      readonly seed: number;
      /** Neighbours in the batch that form one node of its tree. */
      readonly microBatches: readonly MicroBatch[];
      /** Receives the sum of their gradients, flat. */
      readonly output: Float32Array;
    }
  | {
      readonly kind: 'losses';
      readonly engine: Engine;
      readonly version: number;
      readonly microBatches: readonly MicroBatch[];
    };

/** A sum of losses and a count of targets for each micro-batch of the task, in order. */
export interface Losses {
  readonly sums: number[];
  readonly targets: number[];
}

export type ThreadAnswer =
  | {
      readonly kind: 'warm';
      readonly info: BackendInfo;
      readonly reason: string;
      readonly choices: string;
    }
  | { readonly kind: 'losses'; readonly losses: Losses };
