import type { RandomStream } from '@manyhands/core/numeric';

export function pick<T>(random: RandomStream, from: readonly T[]): T {
  return from[random.below(from.length)];
}

/** Whether something that happens one time in so many happens now. */
export function happens(random: RandomStream, oneIn: number): boolean {
  return random.below(oneIn) === 0;
}
