import type { Kernels, Tensor } from '../kernels/index.js';
import type { Model } from '../model/index.js';

/** A model's flat weights as inference sees them: to read and to upload from, never to change. */
export interface ReadonlyWeights {
  readonly length: number;
  readonly [index: number]: number;
  /** A view of a part, for kernels, which copy it. */
  subarray(start?: number, end?: number): Float32Array;
}

/** Copies the weights onto the device, a tensor for each parameter; they live until the caller's mark is released. */
export function uploadReadonly(
  kernels: Kernels,
  model: Model,
  weights: ReadonlyWeights,
): Map<string, Tensor> {
  if (weights.length !== model.size)
    throw new RangeError(`${weights.length} weights for ${model.size} places`);
  return new Map(
    model.parameters.map(({ name, shape, offset, size }) => [
      name,
      kernels.tensor(weights.subarray(offset, offset + size), shape),
    ]),
  );
}
