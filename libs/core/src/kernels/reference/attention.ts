import { math } from '../../numeric/index.js';
import type { AttentionSizes } from '../shapes.js';

/** Where the query of a head begins in qkv, and its key and value: heads of one group share those. */
function places({ time, heads, kvHeads, headDim, width }: AttentionSizes, b: number, h: number) {
  const group = Math.floor(h / (heads / kvHeads));
  return {
    query: (t: number) => (b * time + t) * width + h * headDim,
    key: (t: number) => (b * time + t) * width + (heads + group) * headDim,
    value: (t: number) => (b * time + t) * width + (heads + kvHeads + group) * headDim,
  };
}

function dot(a: Float64Array, atA: number, b: Float64Array, atB: number, length: number): number {
  let sum = 0;
  for (let i = 0; i < length; i++) sum += a[atA + i] * b[atB + i];
  return sum;
}

export function attention(
  qkv: Float64Array,
  sizes: AttentionSizes,
): { out: Float64Array; logSumExp: Float64Array } {
  const { batch, first, queries, heads, headDim } = sizes;
  const out = new Float64Array(batch * queries * heads * headDim);
  const logSumExp = new Float64Array(batch * heads * queries);
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < heads; h++) {
      const at = places(sizes, b, h);
      for (let row = 0; row < queries; row++) {
        const t = first + row;
        const scores = Array.from(
          { length: t + 1 },
          (_, s) => dot(qkv, at.query(t), qkv, at.key(s), headDim) / Math.sqrt(headDim),
        );
        const most = scores.reduce((a, c) => Math.max(a, c));
        const weights = scores.map((score) => math.exp(score - most));
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        for (let i = 0; i < headDim; i++) {
          let sum = 0;
          for (let s = 0; s <= t; s++) sum += weights[s] * qkv[at.value(s) + i];
          out[((b * queries + row) * heads + h) * headDim + i] = sum / total;
        }
        logSumExp[(b * heads + h) * queries + row] = most + math.log(total);
      }
    }
  }
  return { out, logSumExp };
}

/** With p = softmax(s): dv = pᵀg, dp = g·vᵀ, ds = p⊙(dp − g·out), dq = ds·k/√d, dk = dsᵀ·q/√d */
export function attentionBackward(
  gradient: Float64Array,
  qkv: Float64Array,
  out: Float64Array,
  logSumExp: Float64Array,
  sizes: AttentionSizes,
): Float64Array {
  const { batch, time, heads, headDim } = sizes;
  const result = new Float64Array(qkv.length);
  const scale = 1 / Math.sqrt(headDim);
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < heads; h++) {
      const at = places(sizes, b, h);
      for (let t = 0; t < time; t++) {
        const g = ((b * time + t) * heads + h) * headDim;
        const gradientTimesOut = dot(gradient, g, out, g, headDim);
        for (let s = 0; s <= t; s++) {
          const score = dot(qkv, at.query(t), qkv, at.key(s), headDim) * scale;
          const p = math.exp(score - logSumExp[(b * heads + h) * time + t]);
          const ds = p * (dot(gradient, g, qkv, at.value(s), headDim) - gradientTimesOut) * scale;
          for (let i = 0; i < headDim; i++) {
            result[at.query(t) + i] += ds * qkv[at.key(s) + i];
            result[at.key(s) + i] += ds * qkv[at.query(t) + i];
            result[at.value(s) + i] += p * gradient[g + i];
          }
        }
      }
    }
  }
  return result;
}
