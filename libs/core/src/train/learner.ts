import { Graph, type Node } from '../graph/index.js';
import type { Kernels } from '../kernels/index.js';
import {
  type DropoutSource,
  forward,
  type Model,
  parameterNodes,
  readGradients,
  uploadWeights,
  type WeightTensors,
  writeWeights,
} from '../model/index.js';
import type { MicroBatch } from './micro-batch.js';

export interface GradientResult {
  /** Sum of the losses over the targets, in nats, added in order in float64. */
  readonly lossSum: number;
  /** How many targets were not ignored. */
  readonly targets: number;
}

/**
 * One thread's work: micro-batches in, gradients out, on one backend. The weights are uploaded once and overwritten by
 * `setWeights`; everything else that a micro-batch needs is released when it is done. One call at a time.
 */
export class Learner {
  readonly model: Model;
  readonly #kernels: Kernels;
  readonly #weights: WeightTensors;
  #working = false;

  private constructor(kernels: Kernels, model: Model) {
    this.model = model;
    this.#kernels = kernels;
    this.#weights = uploadWeights(kernels, model, new Float32Array(model.size));
  }

  static create(kernels: Kernels, model: Model): Learner {
    return new Learner(kernels, model);
  }

  /** @throws RangeError where `flat` has another size than the model */
  setWeights(flat: Float32Array): void {
    if (flat.length !== this.model.size) {
      throw new RangeError(`the model has ${this.model.size} weights, not ${flat.length}`);
    }
    writeWeights(this.#kernels, this.model, this.#weights, flat);
  }

  /**
   * The gradient of the SUM of the losses over the micro-batch's targets, not of their mean: sums of micro-batches
   * of unequal length add up to the batch's. `into` is overwritten whole, with zeros where a parameter has no part
   * (and on the entries that its table calls inert).
   */
  async gradients(
    micro: MicroBatch,
    { seed, step }: { readonly seed: number; readonly step: number },
    into: Float32Array,
  ): Promise<GradientResult> {
    return this.#work(async () => {
      const graph = new Graph(this.#kernels);
      const loss = this.#loss(graph, micro, { seed, step, microBatch: micro.index });
      graph.backward(loss);
      await readGradients(graph, this.model, into);
      const losses = await this.#kernels.read(loss.output);
      let lossSum = 0;
      let targets = 0;
      for (let i = 0; i < losses.length; i++) {
        if (micro.targets[i] < 0) continue;
        lossSum += losses[i];
        targets++;
      }
      return { lossSum, targets };
    });
  }

  /** The loss of each position in nats, 0 where the target is ignored; without dropout. */
  losses(micro: MicroBatch): Promise<Float64Array> {
    return this.#work(async () => {
      const graph = new Graph(this.#kernels, { record: false });
      const loss = this.#loss(graph, micro);
      return Float64Array.from(await this.#kernels.read(loss.output));
    });
  }

  #loss(graph: Graph, { inputs: ids, targets, batch, time }: MicroBatch, dropout?: DropoutSource): Node {
    const { vocab } = this.model.config;
    const wrong = targets.find((target) => target < -1 || target >= vocab);
    if (wrong !== undefined) throw new RangeError(`target ${wrong} is not in a vocabulary of ${vocab}`);
    if (targets.length !== ids.length)
      throw new RangeError(`${ids.length} inputs have ${targets.length} targets`);
    const input = { ids, batch, time, ...(dropout === undefined ? {} : { dropout }) };
    const logits = forward(graph, this.model, parameterNodes(graph, this.#weights), input);
    return graph.crossEntropy(logits, graph.input('targets', graph.kernels.indices(targets)));
  }

  /** Frees what `work` made on the device; two at once would free each other's. */
  async #work<T>(work: () => Promise<T>): Promise<T> {
    if (this.#working) throw new Error('a learner takes one micro-batch at a time');
    this.#working = true;
    const mark = this.#kernels.mark();
    try {
      return await work();
    } finally {
      this.#kernels.release(mark);
      this.#working = false;
    }
  }
}
