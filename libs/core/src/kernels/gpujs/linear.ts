import type { WeightLayout } from '../kernels.js';
import type { Device } from './device.js';
import { type Matrix, program, type Thread } from './program.js';
import type { DeviceTensor } from './tape.js';

interface Inner {
  /** The length of the sums. */
  readonly inner: number;
  /** As much of it as comes in eights. */
  readonly whole: number;
}

/*
 * A thread computes one number, so there is no tile to keep in registers: what helps is to do eight steps of a sum a
 * round, in their order, so that indices are computed and the end is looked for once.
 */

/** left · right */
const multiply = program<Inner>(function multiply(this: Thread<Inner>, left: Matrix, right: Matrix): number {
  let sum = 0;
  for (let k = 0; k < this.constants.whole; k += 8) {
    sum += left[this.thread.y][k] * right[k][this.thread.x];
    sum += left[this.thread.y][k + 1] * right[k + 1][this.thread.x];
    sum += left[this.thread.y][k + 2] * right[k + 2][this.thread.x];
    sum += left[this.thread.y][k + 3] * right[k + 3][this.thread.x];
    sum += left[this.thread.y][k + 4] * right[k + 4][this.thread.x];
    sum += left[this.thread.y][k + 5] * right[k + 5][this.thread.x];
    sum += left[this.thread.y][k + 6] * right[k + 6][this.thread.x];
    sum += left[this.thread.y][k + 7] * right[k + 7][this.thread.x];
  }
  for (let k = this.constants.whole; k < this.constants.inner; k += 1) {
    sum += left[this.thread.y][k] * right[k][this.thread.x];
  }
  return sum;
});

/** left · rightᵀ */
const multiplyTransposed = program<Inner>(function multiplyTransposed(
  this: Thread<Inner>,
  left: Matrix,
  right: Matrix,
): number {
  let sum = 0;
  for (let k = 0; k < this.constants.whole; k += 8) {
    sum += left[this.thread.y][k] * right[this.thread.x][k];
    sum += left[this.thread.y][k + 1] * right[this.thread.x][k + 1];
    sum += left[this.thread.y][k + 2] * right[this.thread.x][k + 2];
    sum += left[this.thread.y][k + 3] * right[this.thread.x][k + 3];
    sum += left[this.thread.y][k + 4] * right[this.thread.x][k + 4];
    sum += left[this.thread.y][k + 5] * right[this.thread.x][k + 5];
    sum += left[this.thread.y][k + 6] * right[this.thread.x][k + 6];
    sum += left[this.thread.y][k + 7] * right[this.thread.x][k + 7];
  }
  for (let k = this.constants.whole; k < this.constants.inner; k += 1) {
    sum += left[this.thread.y][k] * right[this.thread.x][k];
  }
  return sum;
});

/** leftᵀ · right */
const transposedMultiply = program<Inner>(function transposedMultiply(
  this: Thread<Inner>,
  left: Matrix,
  right: Matrix,
): number {
  let sum = 0;
  for (let k = 0; k < this.constants.whole; k += 8) {
    sum += left[k][this.thread.y] * right[k][this.thread.x];
    sum += left[k + 1][this.thread.y] * right[k + 1][this.thread.x];
    sum += left[k + 2][this.thread.y] * right[k + 2][this.thread.x];
    sum += left[k + 3][this.thread.y] * right[k + 3][this.thread.x];
    sum += left[k + 4][this.thread.y] * right[k + 4][this.thread.x];
    sum += left[k + 5][this.thread.y] * right[k + 5][this.thread.x];
    sum += left[k + 6][this.thread.y] * right[k + 6][this.thread.x];
    sum += left[k + 7][this.thread.y] * right[k + 7][this.thread.x];
  }
  for (let k = this.constants.whole; k < this.constants.inner; k += 1) {
    sum += left[k][this.thread.y] * right[k][this.thread.x];
  }
  return sum;
});

function innerOf(inner: number): Inner {
  return { inner, whole: inner - (inner % 8) };
}

const addToRows = program<object>(function addToRows(
  this: Thread<object>,
  x: Matrix,
  vector: Matrix,
): number {
  return x[this.thread.y][this.thread.x] + vector[0][this.thread.x];
});

interface Rows {
  readonly rows: number;
}

const sumOfRows = program<Rows>(function sumOfRows(this: Thread<Rows>, x: Matrix): number {
  let sum = 0;
  for (let n = 0; n < this.constants.rows; n++) {
    sum += x[n][this.thread.x];
  }
  return sum;
});

export function linear(
  device: Device,
  x: DeviceTensor,
  weight: DeviceTensor,
  bias: DeviceTensor | null,
  layout: WeightLayout,
): DeviceTensor {
  const inner = innerOf(x.columns);
  const product =
    layout === 'inOut'
      ? device.launch(multiply, inner, [x.rows, weight.columns], [x, weight])
      : device.launch(multiplyTransposed, inner, [x.rows, weight.rows], [x, weight]);
  if (bias === null) return product;
  const out = device.launch(addToRows, {}, product.shape, [product, bias]);
  device.release([product]);
  return out;
}

export function linearBackward(
  device: Device,
  gradient: DeviceTensor,
  x: DeviceTensor,
  weight: DeviceTensor,
  hasBias: boolean,
  layout: WeightLayout,
): { x: DeviceTensor; weight: DeviceTensor; bias: DeviceTensor | null } {
  const outputs = innerOf(gradient.columns);
  const positions = innerOf(x.rows);
  return {
    x: device.launch(layout === 'inOut' ? multiplyTransposed : multiply, outputs, x.shape, [
      gradient,
      weight,
    ]),
    weight:
      layout === 'inOut'
        ? device.launch(transposedMultiply, positions, weight.shape, [x, gradient])
        : device.launch(transposedMultiply, positions, weight.shape, [gradient, x]),
    bias: hasBias ? sumRows(device, gradient) : null,
  };
}

/** x [N,C] → [C], summed in the order of N. */
export function sumRows(device: Device, x: DeviceTensor): DeviceTensor {
  return device.launch(sumOfRows, { rows: x.rows }, [x.columns], [x]);
}
