import type { Kernels, Tensor } from '../kernels/index.js';
import type { DropoutSource, WeightTensors } from '../model/index.js';

export interface BatchShape {
  readonly batch: number;
  readonly time: number;
  /** Whether gradients are wanted. */
  readonly train: boolean;
}

/** What a lesson is given on with: the weights on a device, and where its gradients go. */
export interface Bench {
  readonly kernels: Kernels;
  /** Overwritten before `weigh`; their tensors stay the same. */
  readonly weights: WeightTensors;
  /** Where the micro-batch under way stands in the run. */
  readonly place: DropoutSource;
  /**
   * Takes the gradient of the sum of a micro-batch's losses, parameter by parameter, while the rest is computed: good
   * during the call only.
   */
  take(parameter: string, gradient: Tensor): void;
}

/** One kind of task on one backend: how a micro-batch becomes losses, and gradients on the way. */
export interface Lesson<Micro> {
  /** Told the new weights, flat, where they are needed off the device as well; good during the call only. */
  weigh?(flat: Float32Array): void;
  /** Compiles for a shape, once; memory of its program at the peak, in bytes, 0 where the backend plans none. */
  prepare(shape: BatchShape): number;
  /** Losses whose sum, in order, is the micro-batch's loss, and of how many targets; with `train`, `take` is called. */
  run(micro: Micro, train: boolean): Promise<Outcome>;
}

export interface Outcome {
  readonly losses: ArrayLike<number>;
  readonly targets: number;
}
