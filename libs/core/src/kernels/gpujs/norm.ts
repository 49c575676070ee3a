import type { Device } from './device.js';
import { sumRows } from './linear.js';
import { type Matrix, program, type Thread } from './program.js';
import type { DeviceTensor } from './tape.js';

interface Columns {
  readonly columns: number;
}

interface Norm extends Columns {
  readonly epsilon: number;
}

// Statistics are vectors over the rows: the thread's column is the row of x that it sums, in order.

const meanOfRow = program<Columns>(function meanOfRow(this: Thread<Columns>, x: Matrix): number {
  let sum = 0;
  for (let c = 0; c < this.constants.columns; c++) {
    sum += x[this.thread.x][c];
  }
  return sum / this.constants.columns;
});

const inverseDeviation = program<Norm>(function inverseDeviation(
  this: Thread<Norm>,
  x: Matrix,
  mean: Matrix,
): number {
  let sum = 0;
  for (let c = 0; c < this.constants.columns; c++) {
    const centred = x[this.thread.x][c] - mean[0][this.thread.x];
    sum += centred * centred;
  }
  return 1 / Math.sqrt(sum / this.constants.columns + this.constants.epsilon);
});

const normalise = program<object>(function normalise(
  this: Thread<object>,
  x: Matrix,
  weight: Matrix,
  bias: Matrix,
  mean: Matrix,
  rstd: Matrix,
): number {
  const normal = (x[this.thread.y][this.thread.x] - mean[0][this.thread.y]) * rstd[0][this.thread.y];
  return normal * weight[0][this.thread.x] + bias[0][this.thread.x];
});

/** x̂ ⊙ gradient, whose sum over the rows is the gradient of the weight. */
const normalTimesGradient = program<object>(function normalTimesGradient(
  this: Thread<object>,
  gradient: Matrix,
  x: Matrix,
  mean: Matrix,
  rstd: Matrix,
): number {
  const normal = (x[this.thread.y][this.thread.x] - mean[0][this.thread.y]) * rstd[0][this.thread.y];
  return normal * gradient[this.thread.y][this.thread.x];
});

/** A row's mean of a ⊙ weight. */
const weightedMean = program<Columns>(function weightedMean(
  this: Thread<Columns>,
  a: Matrix,
  weight: Matrix,
): number {
  let sum = 0;
  for (let c = 0; c < this.constants.columns; c++) {
    sum += a[this.thread.x][c] * weight[0][c];
  }
  return sum / this.constants.columns;
});

const layerNormInput = program<object>(function layerNormInput(
  this: Thread<object>,
  gradient: Matrix,
  x: Matrix,
  weight: Matrix,
  mean: Matrix,
  rstd: Matrix,
  gradientMean: Matrix,
  productMean: Matrix,
): number {
  const normal = (x[this.thread.y][this.thread.x] - mean[0][this.thread.y]) * rstd[0][this.thread.y];
  const direct = gradient[this.thread.y][this.thread.x] * weight[0][this.thread.x];
  return (
    rstd[0][this.thread.y] *
    (direct - gradientMean[0][this.thread.y] - normal * productMean[0][this.thread.y])
  );
});

export function layerNorm(
  device: Device,
  x: DeviceTensor,
  weight: DeviceTensor,
  bias: DeviceTensor,
  epsilon: number,
): { out: DeviceTensor; mean: DeviceTensor; rstd: DeviceTensor } {
  const { columns, rows } = x;
  const mean = device.launch(meanOfRow, { columns }, [rows], [x]);
  const rstd = device.launch(inverseDeviation, { columns, epsilon }, [rows], [x, mean]);
  return { out: device.launch(normalise, {}, x.shape, [x, weight, bias, mean, rstd]), mean, rstd };
}

export function layerNormBackward(
  device: Device,
  gradient: DeviceTensor,
  x: DeviceTensor,
  weight: DeviceTensor,
  mean: DeviceTensor,
  rstd: DeviceTensor,
): { x: DeviceTensor; weight: DeviceTensor; bias: DeviceTensor } {
  const { columns, rows } = x;
  const product = device.launch(normalTimesGradient, {}, x.shape, [gradient, x, mean, rstd]);
  const gradientMean = device.launch(weightedMean, { columns }, [rows], [gradient, weight]);
  const productMean = device.launch(weightedMean, { columns }, [rows], [product, weight]);
  const operands = [gradient, x, weight, mean, rstd, gradientMean, productMean];
  const gradients = {
    x: device.launch(layerNormInput, {}, x.shape, operands),
    weight: sumRows(device, product),
    bias: sumRows(device, gradient),
  };
  device.release([product, gradientMean, productMean]);
  return gradients;
}

const inverseRootMeanSquare = program<Norm>(function inverseRootMeanSquare(
  this: Thread<Norm>,
  x: Matrix,
): number {
  let sum = 0;
  for (let c = 0; c < this.constants.columns; c++) {
    sum += x[this.thread.x][c] * x[this.thread.x][c];
  }
  return 1 / Math.sqrt(sum / this.constants.columns + this.constants.epsilon);
});

const scaleRows = program<object>(function scaleRows(
  this: Thread<object>,
  x: Matrix,
  weight: Matrix,
  rstd: Matrix,
): number {
  return x[this.thread.y][this.thread.x] * rstd[0][this.thread.y] * weight[0][this.thread.x];
});

const scaledTimesGradient = program<object>(function scaledTimesGradient(
  this: Thread<object>,
  gradient: Matrix,
  x: Matrix,
  rstd: Matrix,
): number {
  return x[this.thread.y][this.thread.x] * rstd[0][this.thread.y] * gradient[this.thread.y][this.thread.x];
});

const rmsNormInput = program<object>(function rmsNormInput(
  this: Thread<object>,
  gradient: Matrix,
  x: Matrix,
  weight: Matrix,
  rstd: Matrix,
  productMean: Matrix,
): number {
  const normal = x[this.thread.y][this.thread.x] * rstd[0][this.thread.y];
  const direct = gradient[this.thread.y][this.thread.x] * weight[0][this.thread.x];
  return rstd[0][this.thread.y] * (direct - normal * productMean[0][this.thread.y]);
});

export function rmsNorm(
  device: Device,
  x: DeviceTensor,
  weight: DeviceTensor,
  epsilon: number,
): { out: DeviceTensor; rstd: DeviceTensor } {
  const rstd = device.launch(inverseRootMeanSquare, { columns: x.columns, epsilon }, [x.rows], [x]);
  return { out: device.launch(scaleRows, {}, x.shape, [x, weight, rstd]), rstd };
}

export function rmsNormBackward(
  device: Device,
  gradient: DeviceTensor,
  x: DeviceTensor,
  weight: DeviceTensor,
  rstd: DeviceTensor,
): { x: DeviceTensor; weight: DeviceTensor } {
  const product = device.launch(scaledTimesGradient, {}, x.shape, [gradient, x, rstd]);
  const productMean = device.launch(weightedMean, { columns: x.columns }, [x.rows], [product, weight]);
  const gradients = {
    x: device.launch(rmsNormInput, {}, x.shape, [gradient, x, weight, rstd, productMean]),
    weight: sumRows(device, product),
  };
  device.release([product, productMean]);
  return gradients;
}
