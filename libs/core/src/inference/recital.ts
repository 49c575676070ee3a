import type { Kernels } from '../kernels/index.js';
import type { Model } from '../model/index.js';
import { forwardWindows, type Windows } from './forward-windows.js';
import type { ReadonlyWeights } from './weights.js';

/** How much of a text a model knows by heart. */
export interface Recital {
  /** Windows of text that were tried. */
  readonly windows: number;
  /** Of those, the ones whose continuation came out word for word. */
  readonly verbatim: number;
  /** Tokens of all continuations. */
  readonly tokens: number;
  /** Of those, the ones that were the likeliest after the text in front of them. */
  readonly right: number;
}

/** Tokens that are continued, and as many in front of them to begin from. */
const CONTINUED = 32;

/** Logits that are held at once: 64 MiB. */
const LOGITS = 1 << 24;

/** Tokens to begin from, and as many to continue: 32, or half of what a smaller context holds. */
export function longestRecital(context: number): number {
  return Math.min(CONTINUED, (context + 1) >> 1);
}

/**
 * Continues the first half of each window of 2n tokens greedily by n and counts what comes out word for word, as the
 * memorisation of a language model is measured (Carlini et al. 2023, Quantifying Memorization Across Neural Language
 * Models). A greedy continuation equals the text exactly where each of its tokens is the likeliest one after the text
 * itself, so one pass over the window tells, without generating.
 */
export async function recite(
  kernels: Kernels,
  model: Model,
  weights: ReadonlyWeights,
  windows: Windows,
): Promise<Recital> {
  const { vocab, context } = model.config;
  const batch = Math.max(1, Math.min(16, Math.floor(LOGITS / (vocab * 2 * longestRecital(context)))));
  const tally = new Tally();
  for await (const { windows: group, values } of forwardWindows(
    kernels,
    model,
    weights,
    windows,
    batch,
    (_, logits) => logits,
  )) {
    group.forEach((window, b) => {
      const time = window.length - 1;
      tally.add(window, (position) => largest(values, (b * time + position) * vocab, vocab));
    });
  }
  return tally;
}

/** The same of a model that looks at one token only: `next[id]` follows `id`, −1 where nothing is known. */
export async function reciteBy(next: ArrayLike<number>, windows: Windows): Promise<Recital> {
  const tally = new Tally();
  for await (const window of windows) tally.add(window, (position) => next[window[position]]);
  return tally;
}

class Tally implements Recital {
  windows = 0;
  verbatim = 0;
  tokens = 0;
  right = 0;

  /** @param predict the likeliest token after `window[0 … position]` */
  add(window: Int32Array, predict: (position: number) => number): void {
    const half = window.length >> 1;
    let right = 0;
    for (let at = half; at < window.length; at++) if (predict(at - 1) === window[at]) right += 1;
    this.windows += 1;
    this.tokens += window.length - half;
    this.right += right;
    if (right === window.length - half) this.verbatim += 1;
  }
}

/** Of equal values the first, as greedy sampling takes it. */
function largest(values: ArrayLike<number>, start: number, count: number): number {
  let best = start;
  for (let at = start + 1; at < start + count; at++) if (values[at] > values[best]) best = at;
  return best - start;
}
