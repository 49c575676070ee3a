import type { Graph, Node } from '../graph/index.js';
import type { CacheShape, DropoutKey, Kernels, Tensor } from '../kernels/index.js';
import { architectures } from './model.js';
import type { Cache, DropoutSource, ForwardInput, Hidden, Model } from './types.js';

/**
 * Runs the model on `graph`, for training and for inference alike: ids [batch·time] → logits [N,V], where N is
 * batch·time, or 1 with `lastOnly`. A cache is filled by the call.
 * @throws RangeError for ids outside of the vocabulary, or more positions than the context
 */
export function forward(
  graph: Graph,
  model: Model,
  parameter: (name: string) => Node,
  input: ForwardInput,
): Node {
  const { hidden, head } = forwardHidden(graph, model, parameter, input);
  return graph.linear(hidden, head, null, 'outIn');
}

/**
 * As `forward`, up to the losses [batch·time] in nats against targets [batch·time], 0 where a target is −1: the same
 * numbers as `crossEntropy` of the logits, which are never there as a whole.
 * @throws RangeError as `forward`
 */
export function forwardLoss(
  graph: Graph,
  model: Model,
  parameter: (name: string) => Node,
  input: ForwardInput,
  targets: Tensor,
): Node {
  const { hidden, head } = forwardHidden(graph, model, parameter, input);
  return graph.headLoss(hidden, head, graph.input('targets', targets));
}

function forwardHidden(
  graph: Graph,
  model: Model,
  parameter: (name: string) => Node,
  input: ForwardInput,
): Hidden {
  const { config } = model;
  const { ids, batch, time, dropout, cache, lastOnly, recompute } = input;
  const { heads, kvHeads, channels } = config;
  const first = cache?.length ?? 0;
  check(input, first, config);
  const extents = { batch, heads, kvHeads, headDim: channels / heads };
  const positions = () => Int32Array.from({ length: batch * time }, (_, i) => first + (i % time));
  const { kernels } = graph;
  let dropouts = 0;
  const result = architectures[config.arch].forward({
    graph,
    config,
    parameter,
    ids: graph.input('ids', ids instanceof Int32Array ? kernels.indices(ids) : ids),
    positions: graph.input('positions', input.positions ?? kernels.indices(positions())),
    attend: (qkv, layer) => {
      if (cache === undefined) return graph.attention(qkv, { ...extents, time });
      const shape = cacheShape(extents, cache, time);
      return graph.cachedAttention(qkv, graph.input(`cache.${layer}`, cache.layers[layer]), shape);
    },
    block: (x, build) => {
      if (recompute !== true) return build(x);
      const before = dropouts;
      return graph.recomputed(x, (again) => {
        dropouts = before;
        return build(again);
      });
    },
    drop: (x) =>
      dropout === undefined || config.dropout === 0
        ? x
        : graph.dropout(x, config.dropout, placeOf(dropout, dropouts++)),
    select: (x) => (lastOnly ? graph.rows(x, time - 1, 1) : x),
  });
  if (cache !== undefined) cache.length += time;
  return result;
}

/** Attention over a cache however much is in it. */
function cacheShape(extents: Omit<CacheShape, 'first' | 'time'>, cache: Cache, time: number): CacheShape {
  return {
    ...extents,
    get first() {
      return cache.length;
    },
    get time() {
      return cache.length + time;
    },
  };
}

/** A dropout of the model, wherever its source stands in the run. */
function placeOf(source: DropoutSource, layer: number): DropoutKey {
  return {
    get seed() {
      return source.seed;
    },
    get step() {
      return source.step;
    },
    get microBatch() {
      return source.microBatch;
    },
    layer,
  };
}

/** An empty cache for one sequence of up to `context` tokens, on the device until the caller's mark is released. */
export function createCache(kernels: Kernels, { config }: Model): Cache {
  const width = (config.heads + 2 * config.kvHeads) * (config.channels / config.heads);
  const layers = Array.from({ length: config.layers }, () => kernels.zeros([config.context, width]));
  return { layers, length: 0 };
}

function check(
  { ids, batch, time, cache, lastOnly }: ForwardInput,
  first: number,
  config: Model['config'],
): void {
  const count = ids instanceof Int32Array ? ids.length : ids.shape[0];
  if (time < 1 || count !== batch * time) {
    throw new RangeError(`${count} ids are not ${batch} sequences of ${time}`);
  }
  if (first + time > config.context) {
    throw new RangeError(`${first + time} positions are more than the model's context of ${config.context}`);
  }
  if ((cache !== undefined || lastOnly) && batch !== 1) {
    throw new RangeError('a cache, and the last position alone, are for one sequence at a time');
  }
  // Ids on the device were checked when they were put there.
  const wrong = ids instanceof Int32Array ? ids.find((id) => id < 0 || id >= config.vocab) : undefined;
  if (wrong !== undefined) throw new RangeError(`token ${wrong} is not in a vocabulary of ${config.vocab}`);
}
