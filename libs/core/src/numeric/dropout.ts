import { philox } from './philox.js';

/** Where in a run a dropout stands; each part is an integer from 0 to 2³²−1. */
export interface DropoutPlace {
  readonly seed: number;
  readonly step: number;
  readonly microBatch: number;
  readonly layer: number;
}

/** The last word of dropout's counters: it keeps them apart from the random streams'. */
export const DROPOUT = 0x64726f70;

/** @throws RangeError where a part of the place is no 32-bit number */
export function checkDropoutPlace({ seed, step, microBatch, layer }: DropoutPlace): void {
  for (const [name, word] of Object.entries({ seed, step, microBatch, layer })) {
    if (word >>> 0 !== word) throw new RangeError(`dropout: ${name} is ${word}, but must be from 0 to 2³²−1`);
  }
}

/**
 * Of 2³² equally likely words, those below the threshold drop their entry.
 * @throws RangeError where the probability is not in [0, 1)
 */
export function dropoutThreshold(probability: number): number {
  if (!(probability >= 0 && probability < 1)) {
    throw new RangeError(
      `dropout's probability is ${probability}, but must be from 0 up to, not including, 1`,
    );
  }
  return Math.floor(probability * 2 ** 32);
}

/** What an entry that stays is multiplied by: 1/(1−p) in float32. */
export function dropoutScale(probability: number): number {
  return Math.fround(1 / (1 - probability));
}

/**
 * What each of `size` entries is multiplied by: 0 or `dropoutScale`. The entries 4i … 4i+3 depend on the four words of
 * philox(key = [seed, step], counter = [i, microBatch, layer, DROPOUT]) and on nothing else.
 */
export function dropoutMask(size: number, probability: number, place: DropoutPlace): Float32Array {
  checkDropoutPlace(place);
  const { seed, step, microBatch, layer } = place;
  const threshold = dropoutThreshold(probability);
  const scale = dropoutScale(probability);
  const mask = new Float32Array(size);
  const block = new Uint32Array(4);
  for (let i = 0; i < size; i++) {
    if (i % 4 === 0) philox([seed, step], [i / 4, microBatch, layer, DROPOUT], block);
    if (block[i % 4] >= threshold) mask[i] = scale;
  }
  return mask;
}
