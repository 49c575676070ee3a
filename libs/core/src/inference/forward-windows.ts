import { Graph, type Node } from '../graph/index.js';
import type { Kernels } from '../kernels/index.js';
import { forward, type Model, parameterNodes } from '../model/index.js';
import { type ReadonlyWeights, uploadReadonly } from './weights.js';

/** Windows of tokens, each [T+1]: entry t+1 is the target of position t, and −1 stands where there is no token. */
export type Windows = Iterable<Int32Array> | AsyncIterable<Int32Array>;

export interface ForwardedWindows {
  /** Of equal length T+1. */
  readonly windows: readonly Int32Array[];
  /** The target of each position [windows·T]; −1 where there is none. */
  readonly targets: Int32Array;
  /** What `output` made of the logits. */
  readonly values: ArrayLike<number>;
}

/**
 * Runs a model over windows, up to `batch` of equal length at a time and in their order. `output` says what is read
 * back of the logits [windows·T, V]. Windows without a target are passed over. Until the generator ends, nothing else
 * may use the kernels' marks.
 */
export async function* forwardWindows(
  kernels: Kernels,
  model: Model,
  weights: ReadonlyWeights,
  windows: Windows,
  batch: number,
  output: (graph: Graph, logits: Node, targets: Int32Array) => Node,
): AsyncGenerator<ForwardedWindows, void, void> {
  const start = kernels.mark();
  try {
    const tensors = uploadReadonly(kernels, model, weights);
    for await (const group of groups(windows, batch)) {
      const time = group[0].length - 1;
      const { inputs, targets } = positions(group, time);
      const mark = kernels.mark();
      const graph = new Graph(kernels, { record: false });
      const input = { ids: inputs, batch: group.length, time };
      const logits = forward(graph, model, parameterNodes(graph, tensors), input);
      const values = await kernels.read(output(graph, logits, targets).output);
      kernels.release(mark);
      yield { windows: group, targets, values };
    }
  } finally {
    kernels.release(start);
  }
}

/** Windows of equal length, up to `batch` together. */
async function* groups(windows: Windows, batch: number): AsyncGenerator<Int32Array[]> {
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
