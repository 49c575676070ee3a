import type { Device, DeviceTensor } from './device.js';
import { type Matrix, program, type Thread } from './program.js';

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
