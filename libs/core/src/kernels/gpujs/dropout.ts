import { DROPOUT, dropoutScale, dropoutThreshold } from '../../numeric/index.js';
import { type DropoutKey, KernelError } from '../kernels.js';
import type { Device } from './device.js';
import { type Helper, type Matrix, program, type Thread } from './program.js';
import type { DeviceTensor } from './tape.js';

/*
 * Philox4x32-10 (Salmon et al. 2011), bit for bit that of numeric's `dropoutMask`. A kernel's variables are float32,
 * so each 32-bit word is two 16-bit halves (`A`: upper, `B`: lower). The product of two halves needs 32 bits: it is
 * taken apart within helpers of integers, whose multiplication wraps on a GPU and is exact in JavaScript.
 */

function productUpper(a: number, b: number): number {
  return (a * b) >>> 16;
}

function productLower(a: number, b: number): number {
  return (a * b) & 65535;
}

// Word times word is four halves; each but the first comes with what it carries into the next.

function secondHalf(a: number, b: number, timesA: number, timesB: number): number {
  return productUpper(b, timesB) + productLower(b, timesA) + productLower(a, timesB);
}

function thirdHalf(a: number, b: number, timesA: number, timesB: number, second: number): number {
  return productUpper(b, timesA) + productUpper(a, timesB) + productLower(a, timesA) + (second >>> 16);
}

function fourthHalf(a: number, timesA: number, third: number): number {
  return productUpper(a, timesA) + (third >>> 16);
}

/** The upper half of the sum of two words. */
function upperOfSum(a: number, b: number, plusA: number, plusB: number): number {
  return (a + plusA + ((b + plusB) >>> 16)) & 65535;
}

// The four words of a block serve four entries in a row; blocks are kept in rows of 2¹².

function entryInBlock(row: number, columns: number, column: number): number {
  return (row * columns + column) & 3;
}

function columnOfBlock(row: number, columns: number, column: number): number {
  return ((row * columns + column) >>> 2) & 4095;
}

function rowOfBlock(row: number, columns: number, column: number): number {
  return (row * columns + column) >>> 14;
}

/** 1 where the bit `place` is set. */
function bitOf(bits: number, place: number): number {
  return (bits >>> place) & 1;
}

/** 1 where a word is not below a threshold. */
function notBelow(a: number, b: number, thresholdA: number, thresholdB: number): number {
  if (a > thresholdA) {
    return 1;
  }
  if (a < thresholdA || b < thresholdB) {
    return 0;
  }
  return 1;
}

const helpers: Helper[] = [
  productUpper,
  productLower,
  secondHalf,
  thirdHalf,
  fourthHalf,
  upperOfSum,
  entryInBlock,
  columnOfBlock,
  rowOfBlock,
  bitOf,
  notBelow,
].map((source) => ({ source, integers: true }));

const blocksPerRow = 4096;

interface Threshold {
  readonly thresholdA: number;
  readonly thresholdB: number;
}

/** For each block, which of its four entries stay, in four bits. `place`: key and counter, in halves. */
const entriesThatStay = program<Threshold>(
  function entriesThatStay(this: Thread<Threshold>, place: Matrix): number {
    let a0 = this.thread.y >> 4;
    let b0 = (this.thread.y & 15) * 4096 + this.thread.x;
    let keyA0 = place[0][0];
    let keyB0 = place[0][1];
    let keyA1 = place[0][2];
    let keyB1 = place[0][3];
    let a1 = place[0][4];
    let b1 = place[0][5];
    let a2 = place[0][6];
    let b2 = place[0][7];
    let a3 = place[0][8];
    let b3 = place[0][9];
    for (let round = 0; round < 10; round++) {
      const secondOf0 = secondHalf(a0, b0, 53841, 8019);
      const thirdOf0 = thirdHalf(a0, b0, 53841, 8019, secondOf0);
      const fourthOf0 = fourthHalf(a0, 53841, thirdOf0);
      const firstOf0 = productLower(b0, 8019);
      const secondOf2 = secondHalf(a2, b2, 52638, 36183);
      const thirdOf2 = thirdHalf(a2, b2, 52638, 36183, secondOf2);
      a0 = fourthHalf(a2, 52638, thirdOf2) ^ a1 ^ keyA0;
      b0 = (thirdOf2 & 65535) ^ b1 ^ keyB0;
      a1 = secondOf2 & 65535;
      b1 = productLower(b2, 36183);
      a2 = fourthOf0 ^ a3 ^ keyA1;
      b2 = (thirdOf0 & 65535) ^ b3 ^ keyB1;
      a3 = secondOf0 & 65535;
      b3 = firstOf0;
      keyA0 = upperOfSum(keyA0, keyB0, 40503, 31161);
      keyB0 = (keyB0 + 31161) & 65535;
      keyA1 = upperOfSum(keyA1, keyB1, 47975, 44677);
      keyB1 = (keyB1 + 44677) & 65535;
    }
    return (
      notBelow(a0, b0, this.constants.thresholdA, this.constants.thresholdB) +
      notBelow(a1, b1, this.constants.thresholdA, this.constants.thresholdB) * 2 +
      notBelow(a2, b2, this.constants.thresholdA, this.constants.thresholdB) * 4 +
      notBelow(a3, b3, this.constants.thresholdA, this.constants.thresholdB) * 8
    );
  },
  ...helpers,
);

interface Scale {
  readonly scale: number;
}

const dropEntries = program<Scale>(
  function dropEntries(this: Thread<Scale>, x: Matrix, stay: Matrix, columns: number): number {
    const row = rowOfBlock(this.thread.y, columns, this.thread.x);
    const column = columnOfBlock(this.thread.y, columns, this.thread.x);
    const entry = entryInBlock(this.thread.y, columns, this.thread.x);
    return x[this.thread.y][this.thread.x] * (bitOf(stay[row][column], entry) * this.constants.scale);
  },
  ...helpers,
);

/**
 * The key is read again in each run of a program.
 * @throws KernelError where the probability is not in [0, 1) or, when it is read, a part of the key is no 32-bit number
 */
export function dropout(device: Device, x: DeviceTensor, probability: number, key: DropoutKey): DeviceTensor {
  if (!(probability >= 0 && probability < 1)) {
    throw new KernelError(
      `dropout's probability is ${probability}, but must be from 0 up to, not including, 1`,
    );
  }
  const place = device.feed(() => placeOf(key), [10]);
  const blocks = Math.ceil((x.rows * x.columns) / 4);
  const shape = [Math.ceil(blocks / blocksPerRow), Math.min(blocks, blocksPerRow)];
  const [thresholdA, thresholdB] = halves(dropoutThreshold(probability));
  const stay = device.launch(entriesThatStay, { thresholdA, thresholdB }, shape, [place]);
  const scale = dropoutScale(probability);
  const out = device.launch(dropEntries, { scale }, x.shape, [x, stay, x.columns]);
  device.release([place, stay]);
  return out;
}

function placeOf({ seed, step, microBatch, layer }: DropoutKey): Float32Array {
  for (const word of [seed, step, microBatch, layer]) {
    if (word >>> 0 !== word) throw new KernelError(`dropout: ${word} in the key is not from 0 to 2³²−1`);
  }
  return Float32Array.from([seed, step, microBatch, layer, DROPOUT].flatMap(halves));
}

function halves(word: number): [number, number] {
  return [word >>> 16, word & 65535];
}
