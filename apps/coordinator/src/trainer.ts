import { type LoadedCheckpoint, weightsSha256 } from '@manyhands/core/checkpoint';
import type { RunConfig } from '@manyhands/core/config';
import type { Model } from '@manyhands/core/model';
import {
  applyStep,
  createOptimizer,
  learningRate,
  type Optimizer,
  restoreState,
  type StepResult,
} from '@manyhands/core/optim';
import { BufferPool, type Range, TreeSum } from '@manyhands/core/reduce';

export interface TakenStep extends StepResult {
  /** Steps done, this one included. */
  readonly step: number;
  /** Mean over the batch's targets, in nats, before this step. */
  readonly loss: number;
  readonly learningRate: number;
  /** Targets in the batch. */
  readonly tokens: number;
}

/** The weights and what moves them: sums arrive, and when all are there, one step is taken. No clock, no network. */
export class Trainer {
  private readonly optimizer: Optimizer;
  private readonly buffers: BufferPool;
  private tree: TreeSum | null = null;
  step = 0;
  appliedSteps = 0;
  skippedSteps = 0;
  tokensSeen = 0;
  /** Steps that were skipped one after the other, up to now. */
  skippedInARow = 0;
  /** Of the last step that this process took. */
  lastLoss: number | null = null;

  /** @param from a checkpoint to go on from */
  constructor(
    private readonly config: RunConfig,
    private readonly model: Model,
    /** Flat; overwritten by each step. */
    readonly weights: Float32Array,
    private readonly microBatches: number,
    from: Pick<LoadedCheckpoint, 'optimizer' | 'state'> | null,
  ) {
    this.optimizer = createOptimizer(config.optimizer, model);
    this.buffers = new BufferPool(model.size);
    if (from === null) return;
    restoreState(this.optimizer, from.optimizer);
    this.step = from.state.step;
    this.appliedSteps = from.state.appliedSteps;
    this.skippedSteps = from.state.skippedSteps;
    this.tokensSeen = from.state.tokensSeen;
  }

  get optimizerState(): Readonly<Record<string, Float32Array>> {
    return this.optimizer.state;
  }

  /** Adds the sum of the gradients over a node of the batch's tree; `sum` is only read. */
  add(range: Range, sum: Float32Array): void {
    this.tree ??= new TreeSum(this.microBatches, this.buffers);
    this.tree.add(range, sum);
  }

  /**
   * Finishes the tree and moves the weights.
   * @param lossSum of all losses of the batch in nats, over `targets` targets
   */
  takeStep(lossSum: number, targets: number): TakenStep {
    if (this.tree === null) throw new Error('a step needs gradients');
    const { config, model, optimizer, weights } = this;
    const rate = learningRate(config.schedule, config.optimizer, this.step, config.run.steps);
    const result = applyStep({
      model,
      optimizer,
      weights,
      gradient: this.tree.result(),
      targets,
      learningRate: rate,
      gradientClip: config.batch.gradientClip,
      t: this.appliedSteps + 1,
    });
    this.tree.release();
    this.tree = null;
    this.step += 1;
    if (result.skipped) this.skippedSteps += 1;
    else this.appliedSteps += 1;
    this.skippedInARow = result.skipped ? this.skippedInARow + 1 : 0;
    this.tokensSeen += targets;
    const loss = lossSum / targets;
    this.lastLoss = loss;
    return { ...result, step: this.step, loss, learningRate: rate, tokens: targets };
  }

  weightsSha256(): string {
    return weightsSha256(this.weights);
  }
}
