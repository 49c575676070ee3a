import { math } from './math.js';
import { philox, words } from './philox.js';

export interface RandomStream {
  /** Uniform in [0, 2³²). */
  nextUint32(): number;
  /** Uniform in [0, 1), a multiple of 2⁻⁵³. */
  nextFloat(): number;
  /** Normal with mean 0 and variance 1 (Box & Muller 1958). */
  nextNormal(): number;
  /** Uniform in [0, n), without bias, for an integer n from 1 to 2⁵³. Throws RangeError elsewhere. */
  below(n: number): number;
}

/**
 * A stream of random numbers that depends on nothing but its key and how much was drawn before: the same on every
 * machine. Streams of different seeds or purposes are independent. Seed and purposes are integers from 0 to 2⁵³−1.
 *
 * @throws RangeError where one is not
 */
export function randomStream(seed: number, ...purpose: readonly number[]): RandomStream {
  const key = deriveKey(seed, purpose);
  const block = new Uint32Array(4);
  let blocks = 0;
  let used = block.length;
  let spareNormal: number | null = null;

  /** Uniform in [0, 2⁵³). */
  const next53 = () => (stream.nextUint32() >>> 5) * 2 ** 26 + (stream.nextUint32() >>> 6);

  const stream: RandomStream = {
    nextUint32() {
      if (used === block.length) {
        const [low, high] = words(blocks++);
        philox(key, [low, high, 0, 0], block);
        used = 0;
      }
      return block[used++];
    },

    nextFloat() {
      return next53() * 2 ** -53;
    },

    nextNormal() {
      if (spareNormal !== null) {
        const value = spareNormal;
        spareNormal = null;
        return value;
      }
      const radius = Math.sqrt(-2 * math.log(1 - stream.nextFloat())); // 1 − u is never 0
      const angle = 2 * Math.PI * stream.nextFloat();
      spareNormal = radius * math.sin(angle);
      return radius * math.cos(angle);
    },

    below(n) {
      if (!Number.isSafeInteger(n - 1) || n < 1) throw new RangeError(`below(${n}): n must be from 1 to 2⁵³`);
      // Of 2⁵³ equally likely integers, those beyond the last whole multiple of n are drawn again.
      const limit = 2 ** 53 - (2 ** 53 % n);
      for (;;) {
        const value = next53();
        if (value < limit) return value % n;
      }
    },
  };
  return stream;
}

/** Folds the purposes into the seed one by one, each with its place, so that (1, 2) differs from (2, 1) and (1). */
export function deriveKey(seed: number, purpose: readonly number[]): readonly [number, number] {
  const result = new Uint32Array(4);
  let key: readonly [number, number] = words(seed);
  // The last word keeps these blocks apart from those of dropout, whose key begins with the seed too.
  const fold = (low: number, high: number, place: number) => {
    philox(key, [low, high, place, DERIVATION], result);
    key = [result[0], result[1]];
  };
  fold(purpose.length, 0, 0);
  for (const [index, value] of purpose.entries()) fold(...words(value), index + 1);
  return key;
}

const DERIVATION = 0x6b657973;
