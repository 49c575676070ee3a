import { type LoadedCheckpoint, weightsSha256 } from '@manyhands/core/checkpoint';
import type { RunConfig } from '@manyhands/core/config';
import type { Layout } from '@manyhands/core/model';
import {
  createStepper,
  learningRate,
  restoreState,
  type Stepper,
  type StepResult,
  skippedStep,
} from '@manyhands/core/optim';
import type { Range } from '@manyhands/core/reduce';
import { span } from '@manyhands/core/trace';
import type { Piece } from '@manyhands/proto';
import { GradientSum } from './gradient-sum.js';

export interface TakenStep extends StepResult {
  /** Steps done, this one included. */
  readonly step: number;
  /** Mean over the batch's targets, in nats, before this step. */
  readonly loss: number;
  readonly learningRate: number;
  /** Targets in the batch. */
  readonly tokens: number;
}

/** The weights of a new run, or what a checkpoint holds. */
export type Start = Pick<LoadedCheckpoint, 'weights'> &
  Partial<Pick<LoadedCheckpoint, 'optimizer' | 'state'>>;

/** The weights and what moves them: sums arrive, and when all are there, one step is taken. No clock, no network. */
export class Trainer {
  private readonly sum: GradientSum;
  step = 0;
  appliedSteps = 0;
  skippedSteps = 0;
  tokensSeen = 0;
  /** Of the last step that this process took. */
  lastLoss: number | null = null;

  private constructor(
    private readonly config: RunConfig,
    model: Layout,
    private readonly stepper: Stepper,
    microBatches: number,
  ) {
    this.sum = new GradientSum(model.size, microBatches, ({ from, to }) => {
      stepper.squares(this.sum.gradient, from, to);
    });
  }

  /**
   * @param start the weights to begin with, or a checkpoint to go on from
   * @param options.threads of the optimiser
   */
  static async create(
    config: RunConfig,
    model: Layout,
    start: Start,
    options: { readonly microBatches: number; readonly threads: number },
  ): Promise<Trainer> {
    const stepper = await createStepper(config.optimizer, model, {
      threads: options.threads,
      measure: config.run.measure,
    });
    const trainer = new Trainer(config, model, stepper, options.microBatches);
    try {
      trainer.restore(start);
    } catch (error) {
      await stepper.close();
      throw error;
    }
    const { state } = start;
    if (state === undefined) return trainer;
    trainer.step = state.step;
    trainer.skippedSteps = state.skippedSteps;
    trainer.tokensSeen = state.tokensSeen;
    return trainer;
  }

  /** Flat; overwritten by each step. */
  get weights(): Float32Array {
    return this.stepper.weights;
  }

  get optimizerState(): Readonly<Record<string, Float32Array>> {
    return this.stepper.state;
  }

  /** Global norm of the mean gradient over the batch's targets; the sum is whole. */
  gradNorm(targets: number): number {
    return targets > 0 ? this.stepper.norm() / targets : 0;
  }

  /**
   * Adds a piece of the sum of the gradients over a node of the batch's tree; `values` is only read. False where that was
   * there already.
   */
  add(range: Range, piece: Piece, values: Float32Array): boolean {
    const began = performance.now();
    const added = this.sum.add(range, piece, values);
    span('reduce', began, { step: this.step, piece: piece.index });
    return added;
  }

  /** Forgets what was added to this step's sum. */
  clear(): void {
    this.sum.clear();
  }

  /**
   * Moves the weights by the sum, which is whole.
   * @param lossSum of all losses of the batch in nats, over `targets` targets
   * @param options.skip leaves the weights as they are, as a gradient that is not finite does
   * @param options.rateFactor what the schedule's rate is multiplied by
   * @param options.final is told of weights that are final, range by range; of none where the step is skipped
   */
  async takeStep(
    lossSum: number,
    targets: number,
    options: {
      readonly skip: boolean;
      readonly rateFactor: number;
      readonly final: (from: number, to: number) => void;
    },
  ): Promise<TakenStep> {
    const { config, stepper, sum } = this;
    if (!sum.complete) throw new Error('a step needs the sum of all gradients');
    const began = performance.now();
    const rate =
      options.rateFactor * learningRate(config.schedule, config.optimizer, this.step, config.run.steps);
    const gradNorm = this.gradNorm(targets);
    const result = options.skip
      ? skippedStep(gradNorm)
      : await stepper.step({
          gradient: sum.gradient,
          gradNorm,
          targets,
          learningRate: rate,
          gradientClip: config.batch.gradientClip,
          t: this.appliedSteps + 1,
          done: options.final,
        });
    span('optimiser', began, { step: this.step });
    sum.clear();
    this.step += 1;
    if (result.skipped) this.skippedSteps += 1;
    else this.appliedSteps += 1;
    this.tokensSeen += targets;
    const loss = lossSum / targets;
    this.lastLoss = loss;
    return { ...result, step: this.step, loss, learningRate: rate, tokens: targets };
  }

  /** Puts weights and optimiser into the state of a checkpoint, or of a new run; the step and the data go on. */
  restore({ weights, optimizer, state }: Start): void {
    this.stepper.weights.set(weights);
    if (optimizer !== undefined) restoreState(this.stepper, optimizer);
    else for (const values of Object.values(this.stepper.state)) values.fill(0);
    this.appliedSteps = state?.appliedSteps ?? 0;
  }

  weightsSha256(): string {
    return weightsSha256(this.weights);
  }

  close(): Promise<void> {
    return this.stepper.close();
  }
}
