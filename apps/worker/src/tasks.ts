import type { BackendChoice, BackendInfo } from '@manyhands/core/kernels';
import type { TraceEvent } from '@manyhands/core/trace';
import type { BatchShape } from '@manyhands/core/train';
import type { TaskBatch } from '@manyhands/tasks';

/** What crosses from the worker to one of its threads and back; arrays over shared memory are not copied. */

export interface ThreadSetup {
  /** What the run learns, as the wire carries it. */
  readonly task: string;
  readonly reproducible: boolean;
  readonly recompute: boolean;
  /** Of all work to come. */
  readonly shapes: readonly BatchShape[];
  /** Two versions of the flat weights: version v is in slot v mod 2. */
  readonly weights: readonly [Float32Array, Float32Array];
  readonly trace: boolean;
  /** Of the worker. */
  readonly threads: number;
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
      /** Names this task in what is told while it runs. */
      readonly task: number;
      readonly engine: Engine;
      readonly version: number;
      readonly seed: number;
      /** Neighbours in the batch that form one node of its tree. */
      readonly microBatches: readonly TaskBatch[];
      /** Receives the sum of their gradients, flat. */
      readonly output: Float32Array;
      /** Told whenever that much more of the output is final. */
      readonly grain: number;
      /** One number in shared memory: not 0 where the sum is of no use any more. */
      readonly unwanted: Int32Array;
    }
  | {
      readonly kind: 'losses';
      readonly engine: Engine;
      readonly version: number;
      readonly seed: number;
      readonly microBatches: readonly TaskBatch[];
    };

/** Said while a sum is computed: everything of its output at and above `from` is final. */
export interface ThreadProgress {
  readonly task: number;
  readonly from: number;
}

/** A sum of losses and a count of targets for each micro-batch of the task, in order. */
export interface Losses {
  readonly sums: number[];
  readonly targets: number[];
}

export type ThreadAnswer = { readonly trace: TraceEvent[] } & (
  | {
      readonly kind: 'warm';
      readonly info: BackendInfo;
      readonly reason: string;
      readonly choices: string;
    }
  | { readonly kind: 'losses'; readonly losses: Losses }
);
