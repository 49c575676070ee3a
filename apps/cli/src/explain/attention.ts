import type { AttentionShape } from '@manyhands/core/kernels';

/**
 * How much each token looks at each before it: softmax(q·k/√D) of causal attention, which the kernel itself never
 * keeps as a whole, from what it was given.
 * @param qkv [T,(H+2Hkv)·D] of the first sequence
 * @returns for each head T(T+1)/2 shares: the row of query t has t+1, and they add up to 1
 */
export function attentionShares(qkv: ArrayLike<number>, shape: AttentionShape): Float64Array[] {
  const { time, heads, kvHeads, headDim } = shape;
  const width = (heads + 2 * kvHeads) * headDim;
  return Array.from({ length: heads }, (_, head) => {
    const query = head * headDim;
    const key = (heads + Math.floor(head / (heads / kvHeads))) * headDim;
    const shares = new Float64Array((time * (time + 1)) / 2);
    for (let t = 0, row = 0; t < time; row += ++t) {
      let most = Number.NEGATIVE_INFINITY;
      for (let s = 0; s <= t; s++) {
        let score = 0;
        for (let i = 0; i < headDim; i++) score += qkv[t * width + query + i] * qkv[s * width + key + i];
        shares[row + s] = score / Math.sqrt(headDim);
        most = Math.max(most, shares[row + s]);
      }
      let total = 0;
      for (let s = 0; s <= t; s++) total += shares[row + s] = Math.exp(shares[row + s] - most);
      for (let s = 0; s <= t; s++) shares[row + s] /= total;
    }
    return shares;
  });
}
