import type { Kernels, Tensor } from '../kernels/index.js';
import {
  type Layout,
  type Model,
  type Parameter,
  uploadWeights,
  type WeightTensors,
  writeWeights,
} from '../model/index.js';
import { GradientReader } from './gradient-reader.js';
import type { BatchShape, Bench, Lesson, Outcome } from './lesson.js';
import type { MicroBatch } from './micro-batch.js';
import { PartialSums } from './partial-sums.js';
import { TokenLesson } from './token-lesson.js';

export interface GradientResult {
  /** Sum of the losses over the targets, in nats, added in order in float64. */
  readonly lossSum: number;
  /** How many targets were not ignored. */
  readonly targets: number;
}

/** For each micro-batch in order, as in `GradientResult`. */
export interface SumResult {
  readonly sums: number[];
  readonly targets: number[];
}

/** Where in a run a micro-batch is learned from. */
export interface Place {
  readonly seed: number;
  readonly step: number;
}

/**
 * One thread's work: micro-batches in, gradients out, on one backend. The weights are uploaded once and overwritten by
 * `setWeights`; what a micro-batch is, its lesson knows. One call at a time.
 */
export class Learner<Micro extends { readonly index: number } = MicroBatch> {
  readonly #weights: WeightTensors;
  readonly #partials: PartialSums;
  readonly #lesson: Lesson<Micro>;
  /** Where the micro-batch under way stands; its program reads it. */
  readonly #place = { seed: 0, step: 0, microBatch: 0 };
  /** What becomes of the gradients of the micro-batch under way. */
  #take: (parameter: Parameter, gradient: Tensor) => void = () => {};
  #working = false;

  /** @param begin the lesson, on this backend */
  constructor(
    private readonly kernels: Kernels,
    readonly model: Layout,
    begin: (bench: Bench) => Lesson<Micro>,
  ) {
    this.#weights = uploadWeights(kernels, model, new Float32Array(model.size));
    this.#partials = new PartialSums(kernels, model);
    const parameters = new Map(model.parameters.map((parameter) => [parameter.name, parameter]));
    this.#lesson = begin({
      kernels,
      weights: this.#weights,
      place: this.#place,
      take: (name, gradient) => {
        const parameter = parameters.get(name);
        if (parameter !== undefined) this.#take(parameter, gradient);
      },
    });
  }

  /**
   * A learner of a language model.
   * @param options.recompute activations of each block are computed again on the way back instead of being kept
   */
  static create(
    kernels: Kernels,
    model: Model,
    options: { readonly recompute?: boolean } = {},
  ): Learner<MicroBatch> {
    return new Learner(kernels, model, (bench) => new TokenLesson(model, bench, options.recompute ?? false));
  }

  /** Compiles the programs of these shapes, and measures whatever the backend has to choose for them. */
  prepare(shapes: readonly BatchShape[]): void {
    for (const shape of shapes) this.#lesson.prepare(shape);
  }

  /** Memory of a shape's program at its peak, beside weights and sums, in bytes; 0 where the backend plans none. */
  workspaceBytes(shape: BatchShape): number {
    return this.#lesson.prepare(shape);
  }

  /** @throws RangeError where `flat` has another size than the model */
  setWeights(flat: Float32Array): void {
    if (flat.length !== this.model.size) {
      throw new RangeError(`the model has ${this.model.size} weights, not ${flat.length}`);
    }
    writeWeights(this.kernels, this.model, this.#weights, flat);
    this.#lesson.weigh?.(flat);
  }

  /**
   * The gradient of the SUM of the losses over the targets of a node's micro-batches, given in order, added up along
   * the node's own tree: the same bits as a TreeSum of each one's gradient. `into` is overwritten whole, with zeros
   * where a parameter has no part (and on the entries that its table calls inert).
   * @param final is told, while the rest is still computed, that everything at and above an index is in place: falling
   *   numbers, 0 at the end
   * @param unwanted asked before each micro-batch: whether the sum is of no use any more
   * @throws Error where it became of no use
   */
  async sum(
    microBatches: readonly Micro[],
    place: Place,
    into: Float32Array,
    final: (from: number) => void = () => {},
    unwanted: () => boolean = () => false,
  ): Promise<SumResult> {
    if (into.length !== this.model.size) {
      throw new RangeError(`the model has ${this.model.size} gradients, not ${into.length}`);
    }
    return this.#work(async () => {
      const result: SumResult = { sums: [], targets: [] };
      this.#partials.clear();
      for (const [i, micro] of microBatches.entries()) {
        if (unwanted()) throw new Error('the sum was cancelled');
        const last = i === microBatches.length - 1;
        const reader = last ? new GradientReader(this.kernels, this.model, into, final) : null;
        const partials = this.#partials;
        const add = reader === null ? partials.leaf(i) : null;
        this.#take = (parameter, gradient) => {
          if (reader === null) return add?.(parameter, gradient);
          partials.addTo(parameter, gradient);
          reader.take(parameter, gradient);
        };
        const { lossSum, targets } = total(await this.#run(micro, place, true));
        if (reader === null) partials.settle(i);
        else await reader.done();
        result.sums.push(lossSum);
        result.targets.push(targets);
      }
      return result;
    });
  }

  /** The sum over one micro-batch, whatever its number. */
  async gradients(micro: Micro, place: Place, into: Float32Array): Promise<GradientResult> {
    const { sums, targets } = await this.sum([micro], place, into);
    return { lossSum: sums[0], targets: targets[0] };
  }

  /** The loss of each target, 0 where it is ignored; nothing is learned, and nothing dropped. */
  losses(micro: Micro, place: Place = { seed: 0, step: 0 }): Promise<Float64Array> {
    return this.#work(async () => Float64Array.from((await this.#run(micro, place, false)).losses));
  }

  /** The sum of `losses`, and how many targets there were. */
  evaluate(micro: Micro, place: Place): Promise<GradientResult> {
    return this.#work(async () => total(await this.#run(micro, place, false)));
  }

  #run(micro: Micro, { seed, step }: Place, train: boolean): Promise<Outcome> {
    Object.assign(this.#place, { seed, step, microBatch: micro.index });
    return this.#lesson.run(micro, train);
  }

  /** Two at once would use one workspace. */
  async #work<T>(work: () => Promise<T>): Promise<T> {
    if (this.#working) throw new Error('a learner takes one micro-batch at a time');
    this.#working = true;
    try {
      return await work();
    } finally {
      this.#working = false;
    }
  }
}

function total({ losses, targets }: Outcome): GradientResult {
  let lossSum = 0;
  for (let i = 0; i < losses.length; i++) lossSum += losses[i];
  return { lossSum, targets };
}
