import type { Graph, Node } from '../graph/index.js';
import type { Kernels } from '../kernels/index.js';
import { architectures } from './model.js';
import type { Cache, ForwardInput, Model } from './types.js';

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
  const { config } = model;
  const { ids, batch, time, dropout, cache, lastOnly } = input;
  const { heads, kvHeads, channels } = config;
  const first = cache?.length ?? 0;
  check(input, first, config);
  const shape = { batch, time: first + time, heads, kvHeads, headDim: channels / heads };
  const positions = Int32Array.from(ids, (_, i) => first + (i % time));
  let dropouts = 0;
  const logits = architectures[config.arch].forward({
    graph,
    config,
    parameter,
    ids: graph.input('ids', graph.kernels.indices(ids)),
    positions: graph.input('positions', graph.kernels.indices(positions)),
    attend: (qkv, layer) =>
      cache === undefined
        ? graph.attention(qkv, shape)
        : graph.cachedAttention(qkv, graph.input(`cache.${layer}`, cache.layers[layer]), { ...shape, first }),
    drop: (x) =>
      dropout === undefined || config.dropout === 0
        ? x
        : graph.dropout(x, config.dropout, { ...dropout, layer: dropouts++ }),
    select: (x) => (lastOnly ? graph.rows(x, time - 1, 1) : x),
  });
  if (cache !== undefined) cache.length += time;
  return logits;
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
  if (time < 1 || ids.length !== batch * time) {
    throw new RangeError(`${ids.length} ids are not ${batch} sequences of ${time}`);
  }
  if (first + time > config.context) {
    throw new RangeError(`${first + time} positions are more than the model's context of ${config.context}`);
  }
  if ((cache !== undefined || lastOnly) && batch !== 1) {
    throw new RangeError('a cache, and the last position alone, are for one sequence at a time');
  }
  const wrong = ids.find((id) => id < 0 || id >= config.vocab);
  if (wrong !== undefined) throw new RangeError(`token ${wrong} is not in a vocabulary of ${config.vocab}`);
}
