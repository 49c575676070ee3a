import type { Rates } from './rates.js';
import type { Task } from './tasks.js';
import type { OptimizerState } from './types.js';

/** What a thread of the stepper is started with; all arrays lie in shared memory. */
export interface Setup {
  readonly tasks: readonly Task[];
  readonly weights: Float32Array;
  readonly state: OptimizerState;
  /** Two numbers of each task's: see Workbench.run. null: not measured. */
  readonly sums: Float64Array | null;
}

/** One step. */
export interface Request {
  readonly call: number;
  readonly gradient: Float32Array;
  readonly rates: Rates;
  /** One number, shared: the first task that nobody has taken. */
  readonly next: Int32Array;
  /** Whether to tell of tasks before the end. */
  readonly tell: boolean;
}

export type Answer = { readonly call: number } & (
  | { readonly kind: 'ready' }
  /** Tasks that are done, by number; more will follow. */
  | { readonly kind: 'moved'; readonly moved: readonly number[] }
  /** The last ones. */
  | { readonly kind: 'step'; readonly moved: readonly number[] }
  | { readonly kind: 'error'; readonly error: Error }
);

export function isSetup(value: unknown): value is Setup {
  return typeof value === 'object' && value !== null && 'tasks' in value && 'sums' in value;
}
