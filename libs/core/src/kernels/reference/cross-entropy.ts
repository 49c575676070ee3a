import { math } from '../../numeric/index.js';

interface Sizes {
  readonly n: number;
  readonly v: number;
}

/** −log softmax(logits)[target], 0 where the target is −1 */
export function crossEntropy(
  logits: Float64Array,
  targets: Int32Array,
  { n, v }: Sizes,
): { losses: Float64Array; logSumExp: Float64Array } {
  const result = { losses: new Float64Array(n), logSumExp: new Float64Array(n) };
  for (let row = 0; row < n; row++) {
    const values = logits.subarray(row * v, (row + 1) * v);
    const most = values.reduce((a, b) => Math.max(a, b));
    const logSumExp = most + math.log(values.reduce((sum, value) => sum + math.exp(value - most), 0));
    result.logSumExp[row] = logSumExp;
    result.losses[row] = targets[row] < 0 ? 0 : logSumExp - values[targets[row]];
  }
  return result;
}

/** g · (softmax(logits) − one-hot(target)), 0 where the target is −1 */
export function crossEntropyBackward(
  gradient: Float64Array,
  logits: Float64Array,
  targets: Int32Array,
  logSumExp: Float64Array,
  { n, v }: Sizes,
): Float64Array {
  const result = new Float64Array(n * v);
  for (let row = 0; row < n; row++) {
    if (targets[row] < 0) continue;
    for (let j = 0; j < v; j++) {
      const p = math.exp(logits[row * v + j] - logSumExp[row]);
      result[row * v + j] = gradient[row] * (p - (j === targets[row] ? 1 : 0));
    }
  }
  return result;
}
