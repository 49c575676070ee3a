import { type BatchProgram, lossProgram, type Model, trainingProgram } from '../model/index.js';
import type { BatchShape, Bench, Lesson, Outcome } from './lesson.js';
import type { MicroBatch } from './micro-batch.js';

/** A language model's lesson: tokens in, the next one is the target. A program is compiled for each shape and kept. */
export class TokenLesson implements Lesson<MicroBatch> {
  readonly #programs = new Map<string, BatchProgram>();

  /** @param recompute activations of each block are computed again on the way back instead of being kept */
  constructor(
    private readonly model: Model,
    private readonly bench: Bench,
    private readonly recompute: boolean,
  ) {}

  prepare(shape: BatchShape): number {
    return this.#program(shape).program.bytes;
  }

  async run({ inputs, targets, batch, time }: MicroBatch, train: boolean): Promise<Outcome> {
    const { kernels } = this.bench;
    const { vocab } = this.model.config;
    const wrong = targets.find((target) => target < -1 || target >= vocab);
    if (wrong !== undefined) throw new RangeError(`target ${wrong} is not in a vocabulary of ${vocab}`);
    const unknown = inputs.find((id) => id < 0 || id >= vocab);
    if (unknown !== undefined) throw new RangeError(`token ${unknown} is not in a vocabulary of ${vocab}`);
    if (targets.length !== inputs.length)
      throw new RangeError(`${inputs.length} inputs have ${targets.length} targets`);
    const it = this.#program({ batch, time, train });
    kernels.writeIndices(it.ids, inputs);
    kernels.writeIndices(it.targets, targets);
    const losses = await kernels.read(it.program.run());
    return { losses, targets: targets.reduce((count, target) => count + (target >= 0 ? 1 : 0), 0) };
  }

  #program({ batch, time, train }: BatchShape): BatchProgram {
    const key = `${train} ${batch} ${time}`;
    const known = this.#programs.get(key);
    if (known !== undefined) return known;
    const { kernels, weights, place: dropout, take } = this.bench;
    const shape = { batch, time };
    const options = { dropout, recompute: this.recompute };
    const made = train
      ? trainingProgram(kernels, this.model, weights, shape, options, take)
      : lossProgram(kernels, this.model, weights, shape);
    this.#programs.set(key, made);
    return made;
  }
}
