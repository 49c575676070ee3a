import { UserError } from '../config/index.js';
import type { Kernels } from '../kernels/index.js';
import type { Model } from '../model/index.js';
import { math } from '../numeric/index.js';
import { forwardWindows, type Windows } from './forward-windows.js';
import type { ReadonlyWeights } from './weights.js';

export interface Evaluation {
  /** Mean over all targets, in nats per token. */
  readonly loss: number;
  /** Number of targets. */
  readonly tokens: number;
}

export interface EvaluateOptions {
  /** Windows that are computed at once. */
  readonly batch: number;
  /** Told the number of targets so far, after each batch. */
  readonly progress?: (tokens: number) => void;
  /** Told each window in turn, with the loss of each of its positions [T]; 0 where there is no target. */
  readonly heard?: (window: Int32Array, losses: Float64Array) => void;
}

/**
 * The model's loss over windows of tokens, T up to its context. Losses are summed in float64, in order.
 *
 * @throws UserError where there is no target at all
 */
export async function evaluate(
  kernels: Kernels,
  model: Model,
  weights: ReadonlyWeights,
  windows: Windows,
  { batch, progress, heard }: EvaluateOptions,
): Promise<Evaluation> {
  let sum = 0;
  let tokens = 0;
  const losses = forwardWindows(kernels, model, weights, windows, batch, (graph, logits, targets) =>
    graph.crossEntropy(logits, graph.input('targets', kernels.indices(targets))),
  );
  for await (const { windows: group, targets, values } of losses) {
    for (let i = 0; i < targets.length; i++) {
      if (targets[i] < 0) continue;
      sum += values[i];
      tokens++;
    }
    if (heard) {
      const time = targets.length / group.length;
      const known = Float64Array.from(targets, (target, i) => (target < 0 ? 0 : values[i]));
      group.forEach((window, b) => {
        heard(window, known.subarray(b * time, (b + 1) * time));
      });
    }
    progress?.(tokens);
  }
  if (tokens === 0) throw new UserError('There is nothing to evaluate: the data has fewer than two tokens.');
  return { loss: sum / tokens, tokens };
}

/** e^loss: among how many equally likely tokens the model hesitates. */
export function perplexity(loss: number): number {
  return math.exp(loss);
}

/** Loss in bits per byte of text, which does not depend on the tokenizer; `tokens` of the text have `bytes`. */
export function bitsPerByte(loss: number, { tokens, bytes }: { tokens: number; bytes: number }): number {
  return (loss * tokens) / (bytes * Math.LN2);
}
