import { DROPOUT, dropoutScale, dropoutThreshold } from '../../numeric/index.js';
import { type DropoutKey, KernelError } from '../kernels.js';
import type { Device, DeviceTensor } from './device.js';
import { type Helper, type Matrix, program, type Thread } from './program.js';

/*
 * Philox4x32-10 (Salmon et al. 2011), bit for bit numeric/random's. A kernel's variables are float32, so each
 * 32-bit word is two 16-bit halves (`A`: upper, `B`: lower); the products of two halves need 32 bits and are
 * taken apart within helpers of integers, whose multiplication wraps on a GPU and is exact in JavaScript.
 */

function productUpper(a: number, b: number): number {
  return (a * b) >>> 16;
}

function productLower(a: number, b: number): number {
  return (a * b) & 65535;
}

/** A word times a word, in four halves: the second from the right, */
function secondHalf(a: number, b: number, timesA: number, timesB: number): number {
  return (productUpper(b, timesB) + productLower(b, timesA) + productLower(a, timesB)) & 65535;
}

/** the third, */
function thirdHalf(a: number, b: number, timesA: number, timesB: number): number {
  const carry = (productUpper(b, timesB) + productLower(b, timesA) + productLower(a, timesB)) >>> 16;
  return (productUpper(b, timesA) + productUpper(a, timesB) + productLower(a, timesA) + carry) & 65535;
}

/** and the leftmost. */
function fourthHalf(a: number, b: number, timesA: number, timesB: number): number {
  const carry = (productUpper(b, timesB) + productLower(b, timesA) + productLower(a, timesB)) >>> 16;
  const third = productUpper(b, timesA) + productUpper(a, timesB) + productLower(a, timesA) + carry;
  return productUpper(a, timesA) + (third >>> 16);
}

/** The upper half of the sum of two words. */
function upperOfSum(a: number, b: number, plusA: number, plusB: number): number {
  return (a + plusA + ((b + plusB) >>> 16)) & 65535;
}

/** The block of four words that holds entry `row · columns + column`, and the word within it. */
function blockUpper(row: number, columns: number, column: number): number {
  return (row * columns + column) >>> 18;
}

function blockLower(row: number, columns: number, column: number): number {
  return ((row * columns + column) >>> 2) & 65535;
}

function wordInBlock(row: number, columns: number, column: number): number {
  return (row * columns + column) & 3;
}

const helpers: Helper[] = [
  productUpper,
  productLower,
  secondHalf,
  thirdHalf,
  fourthHalf,
  upperOfSum,
  blockUpper,
  blockLower,
  wordInBlock,
].map((source) => ({ source, integers: true }));

interface Dropping {
  /** Entries whose word is below this are dropped, in halves. */
  readonly thresholdA: number;
  readonly thresholdB: number;
  readonly scale: number;
}

/** `stream`: both words of the key, then the last three of the counter, in halves. */
const dropEntries = program<Dropping>(
  function dropEntries(this: Thread<Dropping>, x: Matrix, stream: Matrix, columns: number): number {
    let a0 = blockUpper(this.thread.y, columns, this.thread.x);
    let b0 = blockLower(this.thread.y, columns, this.thread.x);
    let keyA0 = stream[0][0];
    let keyB0 = stream[0][1];
    let keyA1 = stream[0][2];
    let keyB1 = stream[0][3];
    let a1 = stream[0][4];
    let b1 = stream[0][5];
    let a2 = stream[0][6];
    let b2 = stream[0][7];
    let a3 = stream[0][8];
    let b3 = stream[0][9];
    for (let round = 0; round < 10; round++) {
      const oldA0 = a0;
      const oldB0 = b0;
      a0 = fourthHalf(a2, b2, 52638, 36183) ^ a1 ^ keyA0;
      b0 = thirdHalf(a2, b2, 52638, 36183) ^ b1 ^ keyB0;
      a1 = secondHalf(a2, b2, 52638, 36183);
      b1 = productLower(b2, 36183);
      a2 = fourthHalf(oldA0, oldB0, 53841, 8019) ^ a3 ^ keyA1;
      b2 = thirdHalf(oldA0, oldB0, 53841, 8019) ^ b3 ^ keyB1;
      a3 = secondHalf(oldA0, oldB0, 53841, 8019);
      b3 = productLower(oldB0, 8019);
      keyA0 = upperOfSum(keyA0, keyB0, 40503, 31161);
      keyB0 = (keyB0 + 31161) & 65535;
      keyA1 = upperOfSum(keyA1, keyB1, 47975, 44677);
      keyB1 = (keyB1 + 44677) & 65535;
    }
    const word = wordInBlock(this.thread.y, columns, this.thread.x);
    let a = a0;
    let b = b0;
    if (word > 0.5) {
      a = a1;
      b = b1;
    }
    if (word > 1.5) {
      a = a2;
      b = b2;
    }
    if (word > 2.5) {
      a = a3;
      b = b3;
    }
    if (a < this.constants.thresholdA) {
      return 0;
    }
    if (a === this.constants.thresholdA && b < this.constants.thresholdB) {
      return 0;
    }
    return x[this.thread.y][this.thread.x] * this.constants.scale;
  },
  ...helpers,
);

/** @throws KernelError where the probability is not in [0, 1) or a part of the key is no 32-bit number */
export function dropout(device: Device, x: DeviceTensor, probability: number, key: DropoutKey): DeviceTensor {
  const { seed, step, microBatch, layer } = key;
  if (!(probability >= 0 && probability < 1)) {
    throw new KernelError(
      `dropout's probability is ${probability}, but must be from 0 up to, not including, 1`,
    );
  }
  for (const word of [seed, step, microBatch, layer]) {
    if (word >>> 0 !== word) throw new KernelError(`dropout: ${word} in the key is not from 0 to 2³²−1`);
  }
  const stream = device.upload(
    Float32Array.from([seed, step, microBatch, layer, DROPOUT].flatMap(halves)),
    [10],
  );
  const [thresholdA, thresholdB] = halves(dropoutThreshold(probability));
  const constants = { thresholdA, thresholdB, scale: dropoutScale(probability) };
  const out = device.launch(dropEntries, constants, x.shape, [x, stream, x.columns]);
  device.release([stream]);
  return out;
}

function halves(word: number): [number, number] {
  return [word >>> 16, word & 65535];
}
