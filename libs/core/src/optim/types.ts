import type { Layout } from '../model/index.js';
import type { Task } from './tasks.js';

export interface OptimizerConfig {
  readonly name: 'adamw' | 'sgd' | 'muon';
  /** Highest learning rate of the schedule. */
  readonly lr: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  /** Decoupled, on tensors of two or more dimensions. */
  readonly weightDecay: number;
  /** Of sgd and muon. Default 0.9, for muon 0.95. */
  readonly momentum?: number;
  /** Of sgd and muon. Default false, for muon true. */
  readonly nesterov?: boolean;
}

/** What one optimiser does to one model. */
export interface Plan {
  /** Lengths of the flat arrays that it remembers, by their names in optimizer.safetensors. */
  readonly state: Readonly<Record<string, number>>;
  /** Together they move every weight once. In the order in which threads take them: long ones first. */
  readonly tasks: readonly Task[];
  /** Where the config says nothing. */
  readonly momentum: number;
  readonly nesterov: boolean;
}

export type Planner = (model: Layout) => Plan;

/** Flat arrays by their names in optimizer.safetensors. */
export type OptimizerState = Readonly<Record<string, Float32Array>>;

/** Sums of squares over each parameter, in the order of the model's table. */
export interface UpdateNorms {
  /** Of the change of the weights, as they are stored: what rounding swallowed did not happen. */
  readonly update: Float64Array;
  /** Of the weights before it. */
  readonly weights: Float64Array;
}

/** Turns gradients into new weights. Everything that it remembers is in `state`: a checkpoint saves just that. */
export interface Optimizer {
  readonly name: OptimizerConfig['name'];
  readonly state: OptimizerState;
  /** Overwrites the weights; the gradient is only read. `t` counts the steps applied so far and this one: 1, 2, … */
  step(weights: Float32Array, gradient: Float32Array, learningRate: number, t: number): UpdateNorms;
}
