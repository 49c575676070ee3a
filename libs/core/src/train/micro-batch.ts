/** A part of a batch that one forward and backward pass takes at once. */
export interface MicroBatch {
  /** Its number within the batch: its place in the reduction tree, and what its dropout depends on. */
  readonly index: number;
  readonly batch: number;
  readonly time: number;
  /** [batch·time], sequence by sequence */
  readonly inputs: Int32Array;
  /** [batch·time]; −1 is ignored */
  readonly targets: Int32Array;
}

/**
 * Cuts windows of time+1 tokens into inputs and what follows each: tokens [batch·(time+1)], −1 where there is nothing.
 * @throws RangeError where the tokens are not that many
 */
export function microBatchFromTokens(
  index: number,
  tokens: Int32Array,
  batch: number,
  time: number,
): MicroBatch {
  if (tokens.length !== batch * (time + 1)) {
    throw new RangeError(`${tokens.length} tokens are not ${batch} windows of ${time + 1}`);
  }
  const inputs = new Int32Array(batch * time);
  const targets = new Int32Array(batch * time);
  for (let b = 0; b < batch; b++) {
    for (let t = 0; t < time; t++) {
      const token = tokens[b * (time + 1) + t];
      // Where there is no token any will do: causality keeps it from what came before, and its own loss is ignored.
      inputs[b * time + t] = Math.max(token, 0);
      targets[b * time + t] = token < 0 ? -1 : tokens[b * (time + 1) + t + 1];
    }
  }
  return { index, batch, time, inputs, targets };
}
