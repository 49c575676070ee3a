import type { Layout } from '../model/index.js';
import { gradientFactor, type StepResult, skippedStep, takenStep } from './apply-step.js';
import { blockSquares } from './clip.js';
import { normsOf, optimizers, stateOf } from './optimizers.js';
import { ratesOf } from './rates.js';
import type { Answer } from './stepper-messages.js';
import { BLOCK, type Task } from './tasks.js';
import { StepperThread } from './threads.js';
import type { Optimizer, OptimizerConfig } from './types.js';

export interface StepperStep {
  /** Flat, in shared memory, the SUM over the batch's targets; only read. */
  readonly gradient: Float32Array;
  /** Global norm of the mean gradient: `norm()` over the targets. */
  readonly gradNorm: number;
  /** How many targets the batch has, over all of its micro-batches. */
  readonly targets: number;
  readonly learningRate: number;
  /** Largest global norm of the mean gradient; 0 switches clipping off. */
  readonly gradientClip: number;
  /** Steps applied so far and this one: 1, 2, … */
  readonly t: number;
  /**
   * Hears of every weight once, as ranges of whole blocks become final, in any order; a skipped step tells of none.
   * What it throws rejects the step.
   */
  readonly done?: (from: number, to: number) => void;
}

/**
 * Flat arrays of one model in shared memory, and threads that step them: the same bits as `applyStep` with
 * `createOptimizer`, whatever their number. The calling thread stays free.
 */
export interface Stepper extends Pick<Optimizer, 'name' | 'state'> {
  /** Flat, in shared memory; overwritten by each step. */
  readonly weights: Float32Array;
  /**
   * The sum of the squares of gradient[from, to), in float64, block by block; both on the grid of `BLOCK` floats or at the
   * end. Ranges may come in any order.
   * @throws RangeError off the grid, or where the gradient is not in shared memory or of another size
   */
  squares(gradient: Float32Array, from: number, to: number): number;
  /** The root of the squares of all blocks, each as `squares` found it last, added in the grid's order: `globalNorm`'s bits. */
  norm(): number;
  /**
   * Mean over targets → (not finite: skip) → clip → optimiser. Rejects where a thread fails: weights and state are then
   * of no use.
   * @throws RangeError where the gradient is not in shared memory or of another size; Error while another step runs
   */
  step(step: StepperStep): Promise<StepResult>;
  /** Ends the threads; what is under way rejects. */
  close(): Promise<void>;
}

/**
 * @param options.measure whether a step tells the size of its update
 * @throws RangeError where `threads` is no number from 1 on
 */
export async function createStepper(
  config: OptimizerConfig,
  model: Layout,
  options: { readonly threads: number; readonly measure: boolean },
): Promise<Stepper> {
  if (!(Number.isInteger(options.threads) && options.threads > 0)) {
    throw new RangeError(`a stepper has 1 or more threads, not ${options.threads}`);
  }
  const plan = optimizers[config.name](model);
  const { tasks } = plan;
  const weights = shared(model.size);
  const state = stateOf(plan, shared);
  const sums = options.measure ? new Float64Array(new SharedArrayBuffer(16 * tasks.length)) : null;
  const blocks = new Float64Array(Math.ceil(model.size / BLOCK));
  const threads = Array.from(
    { length: options.threads },
    () => new StepperThread({ tasks, weights, state, sums }),
  );
  const close = async () => {
    await Promise.all(threads.map((thread) => thread.close()));
  };
  try {
    await Promise.all(threads.map(({ ready }) => ready));
  } catch (error) {
    await close();
    throw error;
  }
  let stepping = false;

  const check = (gradient: Float32Array) => {
    if (gradient.length !== model.size || !(gradient.buffer instanceof SharedArrayBuffer)) {
      throw new RangeError(`a gradient must have ${model.size} values in shared memory`);
    }
  };

  return {
    name: config.name,
    state,
    weights,

    squares(gradient, from, to) {
      check(gradient);
      const onGrid = (at: number) => at % BLOCK === 0 || at === model.size;
      if (!(onGrid(from) && onGrid(to) && from >= 0 && from <= to && to <= model.size)) {
        throw new RangeError(`${from} … ${to} are not blocks of ${BLOCK} of ${model.size} values`);
      }
      // A block takes less time than a message to a thread.
      let sum = 0;
      for (let at = from; at < to; at += BLOCK) {
        const squares = blockSquares(gradient, at);
        blocks[at / BLOCK] = squares;
        sum += squares;
      }
      return sum;
    },

    norm: () => Math.sqrt(blocks.reduce((sum, value) => sum + value, 0)),

    async step({ gradient, gradNorm, targets, gradientClip, learningRate, t, done }) {
      check(gradient);
      if (stepping) throw new Error('a step is under way');
      const factor = gradientFactor(gradNorm, targets, gradientClip);
      if (factor === null) return skippedStep(gradNorm);
      stepping = true;
      try {
        const rates = ratesOf(config, plan, { factor, learningRate, t });
        const next = new Int32Array(new SharedArrayBuffer(4));
        const hear = done ? telling(tasks, model.size, done) : () => {};
        const request = { gradient, rates, next, tell: done !== undefined } as const;
        await Promise.all(threads.map(async (thread) => hear(await thread.call(request, hear))));
      } finally {
        stepping = false;
      }
      return takenStep(gradNorm, model, sums === null ? null : normsOf(model, tasks, sums));
    },

    close,
  };
}

/** Counts each block's tasks down, and tells of runs of blocks that an answer completes. */
function telling(
  tasks: readonly Task[],
  size: number,
  done: (from: number, to: number) => void,
): (answer: Answer) => void {
  const left = new Int32Array(Math.ceil(size / BLOCK));
  const blocksOf = ({ from, to }: Task) => [Math.floor(from / BLOCK), Math.ceil(to / BLOCK)] as const;
  for (const task of tasks) {
    const [first, end] = blocksOf(task);
    for (let block = first; block < end; block++) left[block]++;
  }
  return (answer) => {
    if (answer.kind !== 'moved' && answer.kind !== 'step') return;
    const final: number[] = [];
    for (const number of answer.moved) {
      const [first, end] = blocksOf(tasks[number]);
      for (let block = first; block < end; block++) if (--left[block] === 0) final.push(block);
    }
    final.sort((a, b) => a - b);
    for (let i = 0; i < final.length; ) {
      const first = final[i];
      let end = first + 1;
      for (i++; final[i] === end; i++) end++;
      done(first * BLOCK, Math.min(end * BLOCK, size));
    }
  };
}

function shared(length: number): Float32Array {
  return new Float32Array(new SharedArrayBuffer(4 * length));
}
