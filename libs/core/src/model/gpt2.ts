import { z } from 'zod';
import type { Node } from '../graph/index.js';
import { parseHuggingFace, positive, required } from './hugging-face.js';
import type { Architecture, Initial, ParameterRow } from './types.js';

/*
 * GPT-2 (Radford et al. 2019): learned positions, layer norm before each sub-layer and at the end, GELU. Names and
 * shapes are those of the `gpt2` file on the Hugging Face hub, whose weights are [in, out].
 */

const normal = (deviation: number): Initial => ({ deviation });
const one: Initial = { value: 1 };
const zero: Initial = { value: 0 };

/** N(0, 0.02), and where a projection is added to the residual stream, 0.02/√(2·layers): section 2.3 of the paper. */
const deviation = 0.02;

const huggingFace = z.object({
  vocab_size: positive(),
  n_positions: positive(),
  n_embd: positive(),
  n_layer: positive(1024),
  n_head: positive(1024),
  n_inner: positive().nullish(),
  activation_function: z.enum(['gelu_new', 'gelu_pytorch_tanh', 'gelu', 'silu']).default('gelu_new'),
  layer_norm_epsilon: z.number().positive().default(1e-5),
  resid_pdrop: z.number().min(0).lt(1).default(0.1),
  tie_word_embeddings: z.boolean().default(true),
  scale_attn_weights: required(true),
  scale_attn_by_inverse_layer_idx: required(false),
  add_cross_attention: required(false),
});

export const gpt2: Architecture = {
  modelType: 'gpt2',

  parameters: ({ layers, channels, hidden, vocab, context, tieEmbeddings }) => {
    const residual = normal(deviation / Math.sqrt(2 * layers));
    const rows: ParameterRow[] = [
      {
        name: 'wte.weight',
        shape: [vocab, channels],
        kind: 'embedding',
        group: 'embeddings',
        initial: normal(deviation),
      },
      {
        name: 'wpe.weight',
        shape: [context, channels],
        kind: 'embedding',
        group: 'embeddings',
        initial: normal(deviation),
      },
    ];
    const norm = (name: string): ParameterRow[] => [
      { name: `${name}.weight`, shape: [channels], kind: 'vector', group: 'norms', initial: one },
      { name: `${name}.bias`, shape: [channels], kind: 'vector', group: 'norms', initial: zero },
    ];
    const linear = (
      name: string,
      group: 'attention' | 'mlp',
      from: number,
      to: number,
      initial: Initial,
      bias: Pick<ParameterRow, 'inert'> = {},
    ): ParameterRow[] => [
      { name: `${name}.weight`, shape: [from, to], kind: 'matrix', group, initial },
      { name: `${name}.bias`, shape: [to], kind: 'vector', group, initial: zero, ...bias },
    ];
    // A bias on every key adds one number to all scores of a query, and the softmax takes it away again.
    const keys = { inert: { first: channels, count: channels } };
    for (let layer = 0; layer < layers; layer++) {
      rows.push(
        ...norm(`h.${layer}.ln_1`),
        ...linear(`h.${layer}.attn.c_attn`, 'attention', channels, 3 * channels, normal(deviation), keys),
        ...linear(`h.${layer}.attn.c_proj`, 'attention', channels, channels, residual),
        ...norm(`h.${layer}.ln_2`),
        ...linear(`h.${layer}.mlp.c_fc`, 'mlp', channels, hidden, normal(deviation)),
        ...linear(`h.${layer}.mlp.c_proj`, 'mlp', hidden, channels, residual),
      );
    }
    rows.push(...norm('ln_f'));
    if (!tieEmbeddings) {
      rows.push({
        name: 'lm_head.weight',
        shape: [vocab, channels],
        kind: 'embedding',
        group: 'head',
        initial: normal(deviation),
      });
    }
    return rows;
  },

  // Dropout as in GPT-2 after the embedding and before each sub-layer's result joins the residual stream, but not
  // on the attention's probabilities: the attention is one kernel that never keeps them.
  forward: ({ graph, config, parameter, ids, positions, attend, block, drop, select }) => {
    const norm = (x: Node, name: string) =>
      graph.layerNorm(x, parameter(`${name}.weight`), parameter(`${name}.bias`), config.epsilon);
    const linear = (x: Node, name: string) =>
      graph.linear(x, parameter(`${name}.weight`), parameter(`${name}.bias`), 'inOut');
    const tokens = parameter('wte.weight');
    let x = drop(
      graph.add(graph.embedding(tokens, ids), graph.embedding(parameter('wpe.weight'), positions)), // [N,C]
    );
    for (let layer = 0; layer < config.layers; layer++) {
      const name = `h.${layer}`;
      x = block(x, (x) => {
        const qkv = linear(norm(x, `${name}.ln_1`), `${name}.attn.c_attn`); // [N,3C]
        const y = graph.add(x, drop(linear(attend(qkv, layer), `${name}.attn.c_proj`)));
        const inner = linear(norm(y, `${name}.ln_2`), `${name}.mlp.c_fc`); // [N,F]
        return graph.add(y, drop(linear(graph.activation(inner, config.activation), `${name}.mlp.c_proj`)));
      });
    }
    const head = config.tieEmbeddings ? tokens : parameter('lm_head.weight');
    return { hidden: norm(select(x), 'ln_f'), head };
  },

  toHuggingFace: (config) => ({
    architectures: ['GPT2LMHeadModel'],
    model_type: 'gpt2',
    vocab_size: config.vocab,
    n_positions: config.context,
    n_embd: config.channels,
    n_layer: config.layers,
    n_head: config.heads,
    n_inner: config.hidden === 4 * config.channels ? null : config.hidden,
    activation_function: config.activation,
    layer_norm_epsilon: config.epsilon,
    resid_pdrop: config.dropout,
    embd_pdrop: config.dropout,
    attn_pdrop: 0,
    tie_word_embeddings: config.tieEmbeddings,
  }),

  fromHuggingFace: (json) => {
    const it = parseHuggingFace(huggingFace, json);
    const activation = it.activation_function;
    return {
      arch: 'gpt2',
      layers: it.n_layer,
      heads: it.n_head,
      kvHeads: it.n_head,
      channels: it.n_embd,
      hidden: it.n_inner ?? 4 * it.n_embd,
      context: it.n_positions,
      vocab: it.vocab_size,
      dropout: it.resid_pdrop,
      tieEmbeddings: it.tie_word_embeddings,
      activation: activation === 'gelu_pytorch_tanh' ? 'gelu_new' : activation,
      epsilon: it.layer_norm_epsilon,
      ropeTheta: 10000,
    };
  },

  resolve: (shape) => ({
    ...shape,
    hidden: 4 * shape.channels,
    activation: 'gelu_new',
    epsilon: 1e-5,
    ropeTheta: 10000,
  }),
};
