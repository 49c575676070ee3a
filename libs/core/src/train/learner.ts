import type { Kernels, Tensor } from '../kernels/index.js';
import {
  type BatchProgram,
  lossProgram,
  type Model,
  type Parameter,
  trainingProgram,
  uploadWeights,
  type WeightTensors,
  writeWeights,
} from '../model/index.js';
import { GradientReader } from './gradient-reader.js';
import type { MicroBatch } from './micro-batch.js';
import { PartialSums } from './partial-sums.js';

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

export interface BatchShape {
  readonly batch: number;
  readonly time: number;
  /** Whether gradients are wanted. */
  readonly train: boolean;
}

/**
 * One thread's work: micro-batches in, gradients out, on one backend. The weights are uploaded once and overwritten by
 * `setWeights`; a program is compiled for each shape and kept. One call at a time.
 */
export class Learner {
  readonly model: Model;
  readonly #kernels: Kernels;
  readonly #recompute: boolean;
  readonly #weights: WeightTensors;
  readonly #parameters: ReadonlyMap<string, Parameter>;
  readonly #programs = new Map<string, BatchProgram>();
  readonly #partials: PartialSums;
  /** Where the micro-batch under way stands; its program reads it. */
  readonly #place = { seed: 0, step: 0, microBatch: 0 };
  /** What becomes of the gradients of the micro-batch under way. */
  #take: (parameter: Parameter, gradient: Tensor) => void = () => {};
  #working = false;

  private constructor(kernels: Kernels, model: Model, recompute: boolean) {
    this.model = model;
    this.#kernels = kernels;
    this.#recompute = recompute;
    this.#weights = uploadWeights(kernels, model, new Float32Array(model.size));
    this.#parameters = new Map(model.parameters.map((parameter) => [parameter.name, parameter]));
    this.#partials = new PartialSums(kernels, model);
  }

  /** @param options.recompute activations of each block are computed again on the way back instead of being kept */
  static create(kernels: Kernels, model: Model, options: { readonly recompute?: boolean } = {}): Learner {
    return new Learner(kernels, model, options.recompute ?? false);
  }

  /** Compiles the programs of these shapes, and measures whatever the backend has to choose for them. */
  prepare(shapes: readonly BatchShape[]): void {
    for (const shape of shapes) this.#program(shape);
  }

  /** Memory of a shape's program at its peak, beside weights and sums, in bytes; 0 where the backend plans none. */
  workspaceBytes(shape: BatchShape): number {
    return this.#program(shape).program.bytes;
  }

  /** @throws RangeError where `flat` has another size than the model */
  setWeights(flat: Float32Array): void {
    if (flat.length !== this.model.size) {
      throw new RangeError(`the model has ${this.model.size} weights, not ${flat.length}`);
    }
    writeWeights(this.#kernels, this.model, this.#weights, flat);
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
    microBatches: readonly MicroBatch[],
    { seed, step }: { readonly seed: number; readonly step: number },
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
        const reader = last ? new GradientReader(this.#kernels, this.model, into, final) : null;
        const partials = this.#partials;
        const add = reader === null ? partials.leaf(i) : null;
        this.#take = (parameter, gradient) => {
          if (reader === null) return add?.(parameter, gradient);
          partials.addTo(parameter, gradient);
          reader.take(parameter, gradient);
        };
        Object.assign(this.#place, { seed, step, microBatch: micro.index });
        const losses = await this.#run(micro, true);
        if (reader === null) partials.settle(i);
        else await reader.done();
        const { lossSum, targets } = total(losses, micro.targets);
        result.sums.push(lossSum);
        result.targets.push(targets);
      }
      return result;
    });
  }

  /** The sum over one micro-batch, whatever its number. */
  async gradients(
    micro: MicroBatch,
    place: { readonly seed: number; readonly step: number },
    into: Float32Array,
  ): Promise<GradientResult> {
    const { sums, targets } = await this.sum([micro], place, into);
    return { lossSum: sums[0], targets: targets[0] };
  }

  /** The loss of each position in nats, 0 where the target is ignored; without dropout. */
  losses(micro: MicroBatch): Promise<Float64Array> {
    return this.#work(async () => Float64Array.from(await this.#run(micro, false)));
  }

  async #run({ inputs, targets, batch, time }: MicroBatch, train: boolean): Promise<ArrayLike<number>> {
    const { vocab } = this.model.config;
    const wrong = targets.find((target) => target < -1 || target >= vocab);
    if (wrong !== undefined) throw new RangeError(`target ${wrong} is not in a vocabulary of ${vocab}`);
    const unknown = inputs.find((id) => id < 0 || id >= vocab);
    if (unknown !== undefined) throw new RangeError(`token ${unknown} is not in a vocabulary of ${vocab}`);
    if (targets.length !== inputs.length)
      throw new RangeError(`${inputs.length} inputs have ${targets.length} targets`);
    const it = this.#program({ batch, time, train });
    this.#kernels.writeIndices(it.ids, inputs);
    this.#kernels.writeIndices(it.targets, targets);
    return this.#kernels.read(it.program.run());
  }

  #program({ batch, time, train }: BatchShape): BatchProgram {
    const key = `${train} ${batch} ${time}`;
    const known = this.#programs.get(key);
    if (known !== undefined) return known;
    const shape = { batch, time };
    const options = { dropout: this.#place, recompute: this.#recompute };
    const take = (name: string, gradient: Tensor) => {
      const parameter = this.#parameters.get(name);
      if (parameter !== undefined) this.#take(parameter, gradient);
    };
    const made = train
      ? trainingProgram(this.#kernels, this.model, this.#weights, shape, options, take)
      : lossProgram(this.#kernels, this.model, this.#weights, shape);
    this.#programs.set(key, made);
    return made;
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

function total(losses: ArrayLike<number>, wanted: Int32Array): GradientResult {
  let lossSum = 0;
  let targets = 0;
  for (let i = 0; i < losses.length; i++) {
    if (wanted[i] < 0) continue;
    lossSum += losses[i];
    targets++;
  }
  return { lossSum, targets };
}
