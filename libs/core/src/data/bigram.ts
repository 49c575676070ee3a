import type { TokenData } from './token-data.js';
import { evaluationWindows } from './windows.js';

/** Tokens that are counted: at most 8 Mi, spread evenly over the training data. */
const STRETCH = { context: 4096, maximum: 2048 };

/**
 * What a bigram model of the training data would say greedily: at [id] the token that follows `id` most often, of
 * equals the lowest, −1 where nothing was seen. [vocab]
 */
export function likeliestNext(data: Pick<TokenData, 'vocab' | 'sources' | 'tokens'>): Int32Array {
  const pairs = new Map<number, number>();
  for (const window of evaluationWindows(data, 'train', STRETCH)) {
    const tokens = data.tokens(window, STRETCH.context);
    for (let at = 1; at < tokens.length && tokens[at] >= 0; at++) {
      const pair = tokens[at - 1] * data.vocab + tokens[at];
      pairs.set(pair, (pairs.get(pair) ?? 0) + 1);
    }
  }
  const next = new Int32Array(data.vocab).fill(-1);
  const most = new Float64Array(data.vocab);
  for (const [pair, count] of pairs) {
    const id = Math.floor(pair / data.vocab);
    const follower = pair % data.vocab;
    if (count < most[id] || (count === most[id] && follower > next[id])) continue;
    most[id] = count;
    next[id] = follower;
  }
  return next;
}
