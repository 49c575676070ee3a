import { Graph, type Node } from '@manyhands/core/graph';
import type { Kernels } from '@manyhands/core/kernels';
import {
  forward,
  type Model,
  parameterNodes,
  readGradients,
  uploadWeights,
  writeWeights,
} from '@manyhands/core/model';
import { applyStep, createOptimizer } from '@manyhands/core/optim';
import type { Example } from './example.js';
import { type NodeReport, reportGraph } from './network.js';
import type { StepRule } from './optimizer.js';

/** A few training steps on one example, with everything that happened on the way. */
export interface Walk {
  /** [batch·time,V], by the weights as they were. */
  readonly logits: Float32Array;
  /** [batch·time,V], by the weights after the last step. */
  readonly logitsAfter: Float32Array;
  /** Mean over the asked positions, in nats: before the first step, and after each. */
  readonly losses: readonly number[];
  /** Flat: of the mean loss with respect to each weight, before the first step and before clipping. */
  readonly gradient: Float32Array;
  /** Euclidean norm of all of it. */
  readonly gradNorm: number;
  /** Flat, after the last step. */
  readonly after: Float32Array;
  /** The compute graph of the first step. */
  readonly graph: readonly NodeReport[];
}

/** One way forward: logits [batch·time,V], and the mean loss of the asked positions in nats. */
export interface Pass {
  readonly logits: Float32Array;
  readonly loss: number;
}

/** Looks on at every step of a walk. */
export interface Watcher {
  /** After the way back, while the graph's tensors live. */
  walked(graph: Graph, pass: Pass): Promise<void>;
  /** Flat weights, as they were and as they are; `gradNorm` is that of the mean loss, before clipping. */
  stepped(before: Float32Array, after: Float32Array, gradNorm: number): void;
}

/**
 * Trains on one example, over and over, and remembers the first step whole. Every number comes from the compute
 * graph that training itself uses.
 */
export async function walk(
  kernels: Kernels,
  model: Model,
  weights: Float32Array,
  example: Example,
  rule: StepRule,
  watcher?: Watcher,
): Promise<Walk> {
  const after = weights.slice();
  const start = kernels.mark();
  const tensors = uploadWeights(kernels, model, after);
  const optimizer = createOptimizer(rule.optimizer, model);

  /** One pass forward; `inspect` sees the graph while its tensors live. */
  const pass = async <T>(inspect: (graph: Graph, losses: Node, pass: Pass) => Promise<T>) => {
    const mark = kernels.mark();
    const graph = new Graph(kernels);
    const { batch, time, inputs, targets } = example;
    const logits = forward(graph, model, parameterNodes(graph, tensors), { ids: inputs, batch, time });
    const losses = graph.crossEntropy(logits, graph.input('targets', kernels.indices(targets)));
    const passed: Pass = {
      logits: Float32Array.from(await kernels.read(logits.output)),
      loss: sum(await kernels.read(losses.output)) / example.asked,
    };
    const seen = await inspect(graph, losses, passed);
    kernels.release(mark);
    return { ...passed, seen };
  };

  const losses: number[] = [];
  let first: Pick<Walk, 'logits' | 'gradient' | 'gradNorm' | 'graph'> | null = null;
  for (let step = 1; step <= rule.steps; step++) {
    const { logits, loss, seen } = await pass(async (graph, losses, passed) => {
      graph.backward(losses);
      await watcher?.walked(graph, passed);
      const sum = new Float32Array(model.size);
      await readGradients(graph, model, sum);
      return { sum, graph: step === 1 ? await reportGraph(graph, example.asked) : [] };
    });
    losses.push(loss);
    const gradient = step === 1 ? seen.sum.map((value) => value / example.asked) : seen.sum;
    const before = watcher === undefined ? null : after.slice();
    const { gradNorm } = applyStep({
      model,
      optimizer,
      weights: after,
      gradient: seen.sum,
      targets: example.asked,
      learningRate: rule.optimizer.lr,
      gradientClip: rule.gradientClip,
      t: step,
    });
    if (before !== null) watcher?.stepped(before, after, gradNorm);
    first ??= { logits, gradient, gradNorm, graph: seen.graph };
    writeWeights(kernels, model, tensors, after);
  }
  const last = await pass(async () => null);
  kernels.release(start);
  if (first === null) throw new RangeError('a walk takes at least one step');
  return { ...first, logitsAfter: last.logits, losses: [...losses, last.loss], after };
}

function sum(values: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i];
  return total;
}
