import type { Device } from './device.js';
import { accumulate } from './elementwise.js';
import { linear, linearBackward } from './linear.js';
import { type Matrix, program, type Thread } from './program.js';
import { block, rows } from './rows.js';
import type { DeviceTensor } from './tape.js';

interface Classes {
  readonly classes: number;
}

/** log Σ e^logit of a row, in one pass: the sum is rescaled where a larger logit appears. */
const logSumExpOfRow = program<Classes>(function logSumExpOfRow(
  this: Thread<Classes>,
  logits: Matrix,
): number {
  let maximum = logits[this.thread.x][0];
  let sum = 1;
  for (let v = 1; v < this.constants.classes; v++) {
    const logit = logits[this.thread.x][v];
    if (logit > maximum) {
      sum = sum * Math.exp(maximum - logit) + 1;
      maximum = logit;
    } else {
      sum += Math.exp(logit - maximum);
    }
  }
  return maximum + Math.log(sum);
});

const negativeLogLikelihood = program(function negativeLogLikelihood(
  this: Thread<object>,
  logits: Matrix,
  targets: Matrix,
  logSumExp: Matrix,
): number {
  const target = targets[0][this.thread.x];
  if (target < 0) {
    return 0;
  }
  return logSumExp[0][this.thread.x] - logits[this.thread.x][target];
});

const softmaxMinusTarget = program(function softmaxMinusTarget(
  this: Thread<object>,
  gradient: Matrix,
  logits: Matrix,
  targets: Matrix,
  logSumExp: Matrix,
): number {
  const target = targets[0][this.thread.y];
  if (target < 0) {
    return 0;
  }
  let difference = Math.exp(logits[this.thread.y][this.thread.x] - logSumExp[0][this.thread.y]);
  if (target === this.thread.x) {
    difference -= 1;
  }
  return difference * gradient[0][this.thread.y];
});

export function crossEntropy(
  device: Device,
  logits: DeviceTensor,
  targets: DeviceTensor,
): { losses: DeviceTensor; logSumExp: DeviceTensor } {
  const logSumExp = device.launch(logSumExpOfRow, { classes: logits.columns }, [logits.rows], [logits]);
  return {
    losses: device.launch(negativeLogLikelihood, {}, [logits.rows], [logits, targets, logSumExp]),
    logSumExp,
  };
}

export function crossEntropyBackward(
  device: Device,
  gradient: DeviceTensor,
  logits: DeviceTensor,
  targets: DeviceTensor,
  logSumExp: DeviceTensor,
): DeviceTensor {
  return device.launch(softmaxMinusTarget, {}, logits.shape, [gradient, logits, targets, logSumExp]);
}

/** So many logits are there at once: 64 MiB of them, and as many slopes. */
const LOGITS_AT_ONCE = 2 ** 24;

/**
 * x [N,C], weight [V,C], targets [N] → losses [N] and the gradients of their sum, in blocks of rows, so that no [N,V]
 * tensor is there where it would be large.
 */
export function headLoss(
  device: Device,
  x: DeviceTensor,
  weight: DeviceTensor,
  targets: DeviceTensor,
  gradients: boolean,
  logitsAtOnce = LOGITS_AT_ONCE,
): { losses: DeviceTensor; x: DeviceTensor | null; weight: DeviceTensor | null } {
  const size = Math.min(x.rows, Math.max(1, Math.floor(logitsAtOnce / weight.rows)));
  if (size === x.rows) return blockLoss(device, x, weight, targets, gradients);
  const losses = device.empty([x.rows]);
  const toX = gradients ? device.empty(x.shape) : null;
  let toWeight: DeviceTensor | null = null;
  for (let first = 0; first < x.rows; first += size) {
    const count = Math.min(size, x.rows - first);
    const part = rows(device, x, first, count);
    const aims = block(device, targets, 0, first, [count]);
    const made = blockLoss(device, part, weight, aims, gradients);
    device.place(losses, made.losses, 0, first);
    if (toX !== null && made.x !== null) device.place(toX, made.x, first);
    if (toWeight !== null && made.weight !== null) accumulate(device, toWeight, made.weight);
    toWeight ??= made.weight;
    const done = [part, aims, made.losses, made.x, made.weight === toWeight ? null : made.weight];
    device.release(done.flatMap((tensor) => tensor ?? []));
  }
  return { losses, x: toX, weight: toWeight };
}

function blockLoss(
  device: Device,
  x: DeviceTensor,
  weight: DeviceTensor,
  targets: DeviceTensor,
  gradients: boolean,
): { losses: DeviceTensor; x: DeviceTensor | null; weight: DeviceTensor | null } {
  const logits = linear(device, x, weight, null, 'outIn');
  const { losses, logSumExp } = crossEntropy(device, logits, targets);
  if (!gradients) {
    device.release([logits, logSumExp]);
    return { losses, x: null, weight: null };
  }
  const ones = device.upload(new Float32Array(x.rows).fill(1), [x.rows]);
  const slopes = crossEntropyBackward(device, ones, logits, targets, logSumExp);
  const back = linearBackward(device, slopes, x, weight, false, 'outIn');
  device.release([logits, logSumExp, ones, slopes]);
  return { losses, x: back.x, weight: back.weight };
}
