import type { AttentionSizes } from '../shapes.js';
import type { Device } from './device.js';
import { type Cube, type Matrix, program, type Thread } from './program.js';
import { concat } from './rows.js';
import type { DeviceTensor } from './tape.js';

/** Where the heads lie in a row of qkv: the queries of all heads, then the keys, then the values. */
interface Heads {
  readonly heads: number;
  /** Query heads that share one head of keys and values (Ainslie et al. 2023). */
  readonly group: number;
  readonly headDim: number;
  readonly keys: number;
  readonly values: number;
  readonly scale: number;
}

/*
 * FlashAttention's recomputation (Dao et al. 2022) in the form that gpu.js allows, where a thread computes one
 * number: the forward pass keeps the log-sum-exp of each query's scores, and both passes build the probabilities
 * from it for one layer, use them and free them. The alternative that never writes them would compute each score
 * again for every channel of a head. A plane of a cube is a head of a sequence, a row a query, a column a key.
 */

const logSumExpOfScores = program<Heads>(function logSumExpOfScores(
  this: Thread<Heads>,
  qkv: Matrix,
  time: number,
  first: number,
): number {
  const sequence = Math.floor((this.thread.y + 0.5) / this.constants.heads);
  const head = this.thread.y - sequence * this.constants.heads;
  const queries = head * this.constants.headDim;
  const keys = this.constants.keys + Math.floor((head + 0.5) / this.constants.group) * this.constants.headDim;
  const query = sequence * time + first + this.thread.x;
  let maximum = -1e30;
  let sum = 0;
  for (let key = sequence * time; key <= query; key += 1) {
    let score = 0;
    for (let d = 0; d < this.constants.headDim; d++) {
      score += qkv[query][queries + d] * qkv[key][keys + d];
    }
    score *= this.constants.scale;
    if (score > maximum) {
      sum = sum * Math.exp(maximum - score) + 1;
      maximum = score;
    } else {
      sum += Math.exp(score - maximum);
    }
  }
  return maximum + Math.log(sum);
});

const probabilitiesOfKeys = program<Heads>(function probabilitiesOfKeys(
  this: Thread<Heads>,
  qkv: Matrix,
  logSumExp: Matrix,
  time: number,
  first: number,
): number {
  if (this.thread.x > this.thread.y + first) {
    return 0;
  }
  const sequence = Math.floor((this.thread.z + 0.5) / this.constants.heads);
  const head = this.thread.z - sequence * this.constants.heads;
  const queries = head * this.constants.headDim;
  const keys = this.constants.keys + Math.floor((head + 0.5) / this.constants.group) * this.constants.headDim;
  const query = sequence * time + first + this.thread.y;
  const key = sequence * time + this.thread.x;
  let score = 0;
  for (let d = 0; d < this.constants.headDim; d++) {
    score += qkv[query][queries + d] * qkv[key][keys + d];
  }
  return Math.exp(score * this.constants.scale - logSumExp[this.thread.z][this.thread.y]);
});

const weightedValues = program<Heads>(function weightedValues(
  this: Thread<Heads>,
  probabilities: Cube,
  qkv: Matrix,
  time: number,
  first: number,
): number {
  const sequence = Math.floor((this.thread.y + 0.5) / (time - first));
  const query = this.thread.y - sequence * (time - first);
  const head = Math.floor((this.thread.x + 0.5) / this.constants.headDim);
  const channel = this.thread.x - head * this.constants.headDim;
  const plane = sequence * this.constants.heads + head;
  const values =
    this.constants.values +
    Math.floor((head + 0.5) / this.constants.group) * this.constants.headDim +
    channel;
  const row = sequence * time;
  let sum = 0;
  for (let key = 0; key <= query + first; key++) {
    sum += probabilities[plane][query][key] * qkv[row + key][values];
  }
  return sum;
});

const gradientOfProbabilities = program<Heads>(function gradientOfProbabilities(
  this: Thread<Heads>,
  gradient: Matrix,
  qkv: Matrix,
  time: number,
): number {
  if (this.thread.x > this.thread.y) {
    return 0;
  }
  const sequence = Math.floor((this.thread.z + 0.5) / this.constants.heads);
  const head = this.thread.z - sequence * this.constants.heads;
  const channels = head * this.constants.headDim;
  const values =
    this.constants.values + Math.floor((head + 0.5) / this.constants.group) * this.constants.headDim;
  const query = sequence * time + this.thread.y;
  const key = sequence * time + this.thread.x;
  let sum = 0;
  for (let d = 0; d < this.constants.headDim; d++) {
    sum += gradient[query][channels + d] * qkv[key][values + d];
  }
  return sum;
});

/**
 * What the softmax's gradient subtracts: the mean of a query's gradients, weighted by its probabilities. It is
 * gradient · out as well, but of an `out` that was rounded: where one probability is nearly 1, the difference would
 * then be nothing but that rounding.
 */
const meanGradient = program(function meanGradient(
  this: Thread<object>,
  probabilities: Cube,
  gradients: Cube,
): number {
  let sum = 0;
  let total = 0;
  for (let key = 0; key <= this.thread.x; key++) {
    sum += probabilities[this.thread.y][this.thread.x][key] * gradients[this.thread.y][this.thread.x][key];
    total += probabilities[this.thread.y][this.thread.x][key];
  }
  return sum / total;
});

/** The gradient of query · key. */
const gradientOfScores = program<Heads>(function gradientOfScores(
  this: Thread<Heads>,
  probabilities: Cube,
  gradients: Cube,
  mean: Matrix,
): number {
  return (
    probabilities[this.thread.z][this.thread.y][this.thread.x] *
    (gradients[this.thread.z][this.thread.y][this.thread.x] - mean[this.thread.z][this.thread.y]) *
    this.constants.scale
  );
});

const gradientOfQueries = program<Heads>(function gradientOfQueries(
  this: Thread<Heads>,
  scores: Cube,
  qkv: Matrix,
  time: number,
): number {
  const sequence = Math.floor((this.thread.y + 0.5) / time);
  const query = this.thread.y - sequence * time;
  const head = Math.floor((this.thread.x + 0.5) / this.constants.headDim);
  const channel = this.thread.x - head * this.constants.headDim;
  const plane = sequence * this.constants.heads + head;
  const keys =
    this.constants.keys + Math.floor((head + 0.5) / this.constants.group) * this.constants.headDim + channel;
  const row = sequence * time;
  let sum = 0;
  for (let key = 0; key <= query; key++) {
    sum += scores[plane][query][key] * qkv[row + key][keys];
  }
  return sum;
});

/**
 * Σ weights[query][key] · rows[query] over a group's heads and the queries that see the key: the gradient of the
 * keys (weights: gradient of the scores, rows: queries) and of the values (probabilities, gradient).
 */
const sumOverQueries = program<Heads>(function sumOverQueries(
  this: Thread<Heads>,
  weights: Cube,
  rows: Matrix,
  time: number,
): number {
  const sequence = Math.floor((this.thread.y + 0.5) / time);
  const key = this.thread.y - sequence * time;
  const shared = Math.floor((this.thread.x + 0.5) / this.constants.headDim);
  const channel = this.thread.x - shared * this.constants.headDim;
  const row = sequence * time;
  let sum = 0;
  for (let member = 0; member < this.constants.group; member++) {
    const head = shared * this.constants.group + member;
    const plane = sequence * this.constants.heads + head;
    for (let query = key; query < time; query += 1) {
      sum += weights[plane][query][key] * rows[row + query][head * this.constants.headDim + channel];
    }
  }
  return sum;
});

function layoutOf({ heads, kvHeads, headDim }: AttentionSizes): Heads {
  return {
    heads,
    group: heads / kvHeads,
    headDim,
    keys: heads * headDim,
    values: (heads + kvHeads) * headDim,
    scale: 1 / Math.sqrt(headDim),
  };
}

export function attention(
  device: Device,
  qkv: DeviceTensor,
  sizes: AttentionSizes,
): { out: DeviceTensor; logSumExp: DeviceTensor } {
  const { batch, time, heads, headDim, first, queries } = sizes;
  const layout = layoutOf(sizes);
  const logSumExp = device.launch(logSumExpOfScores, layout, [batch, heads, queries], [qkv, time, first]);
  const probabilities = device.launch(
    probabilitiesOfKeys,
    layout,
    [batch * heads, queries, time],
    [qkv, logSumExp, time, first],
    [time, queries, batch * heads],
  );
  const out = device.launch(
    weightedValues,
    layout,
    [batch * queries, heads * headDim],
    [probabilities, qkv, time, first],
  );
  device.release([probabilities]);
  return { out, logSumExp };
}

export function attentionBackward(
  device: Device,
  gradient: DeviceTensor,
  qkv: DeviceTensor,
  logSumExp: DeviceTensor,
  sizes: AttentionSizes,
): DeviceTensor {
  const { batch, time, heads, kvHeads, headDim } = sizes;
  const layout = layoutOf(sizes);
  const cube = [batch * heads, time, time];
  const size = [time, time, batch * heads];
  const probabilities = device.launch(probabilitiesOfKeys, layout, cube, [qkv, logSumExp, time, 0], size);
  const gradients = device.launch(gradientOfProbabilities, layout, cube, [gradient, qkv, time], size);
  const mean = device.launch(meanGradient, {}, [batch, heads, time], [probabilities, gradients]);
  const scores = device.launch(gradientOfScores, layout, cube, [probabilities, gradients, mean], size);
  const shared = [batch * time, kvHeads * headDim];
  const queries = device.launch(
    gradientOfQueries,
    layout,
    [batch * time, heads * headDim],
    [scores, qkv, time],
  );
  const keys = device.launch(sumOverQueries, layout, shared, [scores, qkv, time]);
  const values = device.launch(sumOverQueries, layout, shared, [probabilities, gradient, time]);
  const joined = concat(device, [queries, keys, values]);
  device.release([probabilities, gradients, mean, scores, queries, keys, values]);
  return joined;
}
