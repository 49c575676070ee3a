import type { Range } from '@manyhands/core/reduce';

/**
 * The model of a simulated run: weights are one number, and a gradient shows in its bits which micro-batches are in it,
 * how often, and along which tree they were added.
 */

/** Pieces that a sum is sent in. */
export const PIECES = 2;
/** In a float32, sums of so many digits of two bits are exact. */
const DIGITS = 12;

/** 32 bits that depend on every bit of both (after MurmurHash3's finaliser). */
export function mix(one: number, other: number): number {
  let hash = Math.imul(one ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(other ^ (other >>> 15), 0xc2b2ae35);
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Values in a piece: one whose rounding depends on the order of addition, then digits that count micro-batches. */
export function pieceSize(microBatches: number): number {
  return 1 + Math.ceil(microBatches / DIGITS);
}

/** One piece of the gradient of one micro-batch. */
function leaf(weights: number, step: number, piece: number, microBatch: number, size: number): Float32Array {
  const values = new Float32Array(size);
  const hash = mix(mix(weights, step * PIECES + piece), microBatch);
  values[0] = ((hash & 0xffffff) - 0x7fffff) * 2 ** -(hash >>> 28);
  values[1 + Math.floor(microBatch / DIGITS)] = 4 ** (microBatch % DIGITS);
  return values;
}

/** One piece of the sum over a node of the tree over `total`, by the definition: left + right, or left alone. */
export function partialSum(
  weights: number,
  step: number,
  piece: number,
  { first, count }: Range,
  total: number,
): Float32Array {
  if (count === 1) return leaf(weights, step, piece, first, pieceSize(total));
  let width = 1;
  while (2 * width < count) width *= 2;
  const left = partialSum(weights, step, piece, { first, count: width }, total);
  const right = partialSum(weights, step, piece, { first: first + width, count: count - width }, total);
  for (let i = 0; i < left.length; i++) left[i] += right[i];
  return left;
}

/** How often each micro-batch is in a sum, from its digits. */
export function countsIn(values: Float32Array, microBatches: number): number[] {
  return Array.from({ length: microBatches }, (_, i) => {
    const digits = values[1 + Math.floor(i / DIGITS)];
    return Math.floor(digits / 4 ** (i % DIGITS)) % 4;
  });
}

/** The loss of a micro-batch: an integer, so that sums are exact. */
export function lossOf(weights: number, kind: 'train' | 'evaluate', microBatch: number): number {
  return mix(mix(weights, kind === 'train' ? 1 : 2), microBatch) & 0xffff;
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** The next version of the weights: it depends on every bit of the whole gradient. */
export function nextWeights(weights: number, gradient: readonly Float32Array[]): number {
  let next = weights;
  for (const values of gradient) {
    for (const value of values) {
      float[0] = value;
      next = mix(next, bits[0]);
    }
  }
  return next;
}

/** What a run comes to that nothing ever disturbs, without machine, network or disk. */
export class CalmRun {
  private readonly versions: number[];
  private readonly gradients: Float32Array[][] = [];

  constructor(
    seed: number,
    private readonly microBatches: number,
    private readonly evaluationBatches: number,
  ) {
    this.versions = [mix(seed >>> 0, 0x6d68)];
  }

  /** Version `step` of the weights. */
  weights(step: number): number {
    while (this.versions.length <= step) {
      const done = this.versions.length - 1;
      this.versions.push(nextWeights(this.versions[done], this.gradient(done)));
    }
    return this.versions[step];
  }

  /** The whole gradient after `step` steps, piece by piece. */
  gradient(step: number): readonly Float32Array[] {
    const range = { first: 0, count: this.microBatches };
    this.gradients[step] ??= Array.from({ length: PIECES }, (_, piece) =>
      partialSum(this.weights(step), step, piece, range, this.microBatches),
    );
    return this.gradients[step];
  }

  /** The sum of all losses of a step, or of the evaluation after as many steps. */
  loss(kind: 'train' | 'evaluate', step: number): number {
    const count = kind === 'train' ? this.microBatches : this.evaluationBatches;
    let sum = 0;
    for (let i = 0; i < count; i++) sum += lossOf(this.weights(step), kind, i);
    return sum;
  }
}
