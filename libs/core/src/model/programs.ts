import { Graph } from '../graph/index.js';
import type { Kernels, Program, Tensor } from '../kernels/index.js';
import { forwardLoss } from './forward.js';
import { parameterNodes, type WeightTensors } from './parameters.js';
import type { DropoutSource, Model } from './types.js';

/** A computation of one shape, ready to be run on any tokens. */
export interface BatchProgram {
  /** [batch·time], to be overwritten before a run */
  readonly ids: Tensor;
  readonly targets: Tensor;
  /** Gives the loss of each position in nats, 0 where the target is −1: [batch·time]. */
  readonly program: Program<Tensor>;
}

interface Shape {
  readonly batch: number;
  readonly time: number;
}

/**
 * Forward and backward over a micro-batch. `take` is given the gradient of the sum of the losses, parameter by
 * parameter, in each run and while the rest is still to be computed; it may be read and added from just then.
 */
export function trainingProgram(
  kernels: Kernels,
  model: Model,
  weights: WeightTensors,
  { batch, time }: Shape,
  options: { readonly dropout: DropoutSource; readonly recompute: boolean },
  take: (parameter: string, gradient: Tensor) => void,
): BatchProgram {
  return onTokens(kernels, batch * time, (ids, targets) => {
    const graph = new Graph(kernels);
    const input = { ids, batch, time, ...options };
    const loss = forwardLoss(graph, model, parameterNodes(graph, weights), input, targets);
    graph.backward(loss, ({ name, gradient }) => {
      if (name === undefined || gradient === null) return;
      kernels.hook([gradient], () => take(name, gradient));
    });
    return loss.output;
  });
}

/** Forward alone, without dropout. */
export function lossProgram(
  kernels: Kernels,
  model: Model,
  weights: WeightTensors,
  { batch, time }: Shape,
): BatchProgram {
  return onTokens(kernels, batch * time, (ids, targets) => {
    const graph = new Graph(kernels, { record: false });
    return forwardLoss(graph, model, parameterNodes(graph, weights), { ids, batch, time }, targets).output;
  });
}

function onTokens(
  kernels: Kernels,
  positions: number,
  build: (ids: Tensor, targets: Tensor) => Tensor,
): BatchProgram {
  const [ids, targets] = [0, 0].map(() => kernels.indices(new Int32Array(positions)));
  return { ids, targets, program: kernels.compile(() => build(ids, targets)) };
}
