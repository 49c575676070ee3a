const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;
const ROUNDS = 10;

/**
 * Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): 128 random bits as a pure
 * function of a 64-bit key and a 128-bit counter. 32-bit integers only.
 *
 * @param key two words; `words` makes them from a seed
 * @param counter four words
 * @param into receives the four words of the result
 */
export function philox(
  key: readonly [number, number],
  counter: readonly [number, number, number, number],
  into: Uint32Array,
): void {
  let [k0, k1] = key;
  let [c0, c1, c2, c3] = counter;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, c0);
    const high1 = multiplyHigh(MULTIPLIER_1, c2);
    const low0 = Math.imul(MULTIPLIER_0, c0);
    const low1 = Math.imul(MULTIPLIER_1, c2);
    c0 = high1 ^ c1 ^ k0;
    c2 = high0 ^ c3 ^ k1;
    c1 = low1;
    c3 = low0;
    k0 = (k0 + WEYL_0) | 0;
    k1 = (k1 + WEYL_1) | 0;
  }
  into[0] = c0;
  into[1] = c1;
  into[2] = c2;
  into[3] = c3;
}

/** A safe non-negative integer, a seed for instance, as two 32-bit words, the lower one first. */
export function words(value: number): [low: number, high: number] {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`${value} is not an integer from 0 to ${Number.MAX_SAFE_INTEGER}`);
  }
  return [value >>> 0, Math.floor(value / 2 ** 32)];
}

/** The upper half of a 32 × 32 bit product, by schoolbook multiplication with 16-bit digits. */
function multiplyHigh(a: number, b: number): number {
  const a0 = a & 0xffff;
  const a1 = a >>> 16;
  const b0 = b & 0xffff;
  const b1 = b >>> 16;
  const cross = (Math.imul(a1, b0) >>> 0) + (Math.imul(a0, b0) >>> 16); // below 2³²: (2¹⁶−1)² + 2¹⁶
  const middle = (cross & 0xffff) + (Math.imul(a0, b1) >>> 0); // below 2³² for the same reason
  return (Math.imul(a1, b1) + (cross >>> 16) + (middle >>> 16)) | 0;
}
