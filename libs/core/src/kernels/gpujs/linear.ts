import type { WeightLayout } from '../kernels.js';
import type { Device, DeviceTensor } from './device.js';
import { type Matrix, program, type Thread } from './program.js';

interface Inner {
  /** The length of the sums. */
  readonly inner: number;
}

/** left · right */
const multiply = program<Inner>(function multiply(this: Thread<Inner>, left: Matrix, right: Matrix): number {
  let sum = 0;
  for (let k = 0; k < this.constants.inner; k++) {
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
  for (let k = 0; k < this.constants.inner; k++) {
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
  for (let k = 0; k < this.constants.inner; k++) {
    sum += left[k][this.thread.y] * right[k][this.thread.x];
  }
  return sum;
});

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
  const inner = { inner: x.columns };
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
  const outputs = { inner: gradient.columns };
  const positions = { inner: x.rows };
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
