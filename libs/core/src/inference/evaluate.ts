import { UserError } from '../config/index.js';
import { Graph } from '../graph/index.js';
import type { Kernels } from '../kernels/index.js';
import { forward, type Model, parameterNodes } from '../model/index.js';
import { math } from '../numeric/index.js';
import { type ReadonlyWeights, uploadReadonly } from './weights.js';

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
}

/**
 * The model's loss over windows of tokens: each is [T+1], T up to the model's context; entry t+1 is the target of
 * position t, and −1 stands where there is no token. Losses are summed in float64, in order.
 *
 * @throws UserError where there is no target at all
 */
export async function evaluate(
  kernels: Kernels,
  model: Model,
  weights: ReadonlyWeights,
  windows: Iterable<Int32Array> | AsyncIterable<Int32Array>,
  { batch, progress }: EvaluateOptions,
): Promise<Evaluation> {
  const start = kernels.mark();
  try {
    const tensors = uploadReadonly(kernels, model, weights);
    let sum = 0;
    let tokens = 0;
    for await (const group of groups(windows, batch)) {
      const time = group[0].length - 1;
      const { inputs, targets } = positions(group, time);
      const mark = kernels.mark();
      const graph = new Graph(kernels, { record: false });
      const input = { ids: inputs, batch: group.length, time };
      const logits = forward(graph, model, parameterNodes(graph, tensors), input);
      const losses = await kernels.read(
        graph.crossEntropy(logits, graph.input('targets', kernels.indices(targets))).output,
      );
      kernels.release(mark);
      losses.forEach((loss, i) => {
        if (targets[i] < 0) return;
        sum += loss;
        tokens++;
      });
      progress?.(tokens);
    }
    if (tokens === 0)
      throw new UserError('There is nothing to evaluate: the data has fewer than two tokens.');
    return { loss: sum / tokens, tokens };
  } finally {
    kernels.release(start);
  }
}

/** e^loss: among how many equally likely tokens the model hesitates. */
export function perplexity(loss: number): number {
  return math.exp(loss);
}

/** Loss in bits per byte of text, which does not depend on the tokenizer; `tokens` of the text have `bytes`. */
export function bitsPerByte(loss: number, { tokens, bytes }: { tokens: number; bytes: number }): number {
  return (loss * tokens) / (bytes * Math.LN2);
}

/** Windows of equal length, up to `batch` together. */
async function* groups(
  windows: Iterable<Int32Array> | AsyncIterable<Int32Array>,
  batch: number,
): AsyncGenerator<Int32Array[]> {
  let group: Int32Array[] = [];
  for await (const window of windows) {
    if (window.length < 2) continue; // no position has a target
    if (group.length > 0 && (group.length >= batch || group[0].length !== window.length)) {
      yield group;
      group = [];
    }
    group.push(window);
  }
  if (group.length > 0) yield group;
}

function positions(group: readonly Int32Array[], time: number): { inputs: Int32Array; targets: Int32Array } {
  const inputs = new Int32Array(group.length * time);
  const targets = new Int32Array(group.length * time);
  group.forEach((window, b) => {
    for (let t = 0; t < time; t++) {
      const nothing = window[t] < 0;
      inputs[b * time + t] = nothing ? 0 : window[t];
      targets[b * time + t] = nothing ? -1 : window[t + 1];
    }
  });
  return { inputs, targets };
}
