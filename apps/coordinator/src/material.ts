import type { Window } from '@manyhands/core/data';
import type { Baselines } from '@manyhands/core/learning';
import type { Task } from '@manyhands/tasks';
import type { Evaluation, EvaluationBatch } from './evaluation.js';
import type { RunEvent } from './events.js';

/** What a run learns from, cut into windows: passages of text, or games by their numbers. */
export interface Material {
  readonly task: Task;
  /** Names what the windows stand for by content: a worker that has it is sent windows instead of tokens. */
  readonly hash: string;
  /** What a target is called. */
  readonly unit: Extract<RunEvent, { kind: 'step' }>['unit'];
  /** Targets of a window at most. */
  readonly time: number;
  /** The windows of a step's batch: a pure function of the run's seed and the step. */
  training(step: number): readonly Window[];
  /** The same windows at every evaluation, in batches. */
  evaluation(): EvaluationBatch[];
  /** Sums of losses and counts of targets, one a batch of the plan and in its order, as one result. */
  conclude(plan: readonly EvaluationBatch[], sums: ArrayLike<number>, targets: ArrayLike<number>): Evaluation;
  /** What a validation loss is to be compared with; null: nothing. */
  baselines(plan: readonly EvaluationBatch[]): Baselines | null;
  /** [time + 1], for a worker that has not the material; null: every worker makes it from the window itself. */
  tokens(window: Window): Int32Array | null;
  close(): void;
}

/** A run's material, and the tokenizer.json that its checkpoints take along. */
export interface Opened {
  readonly material: Material;
  readonly tokenizerJson: string | null;
}
