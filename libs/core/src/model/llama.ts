import { z } from 'zod';
import type { Node } from '../graph/index.js';
import { parseHuggingFace, positive, required } from './hugging-face.js';
import type { Architecture, Initial, ParameterGroup, ParameterRow } from './types.js';

/*
 * Llama (Touvron et al. 2023): rotary positions, RMS norm, SwiGLU, no biases, grouped queries as in Llama 2 and 3.
 * Names and shapes are those of `LlamaForCausalLM`, whose weights are [out, in].
 */

/** Hugging Face's `initializer_range`; the paper gives no other. */
const normal: Initial = { deviation: 0.02 };
const one: Initial = { value: 1 };

const rope = z.object({
  rope_theta: z.number().positive().optional(),
  rope_type: required('default'),
  type: required('default'),
});

const huggingFace = z.object({
  vocab_size: positive(),
  hidden_size: positive(),
  intermediate_size: positive(),
  num_hidden_layers: positive(1024),
  num_attention_heads: positive(1024),
  num_key_value_heads: positive(1024).nullish(),
  head_dim: positive().nullish(),
  max_position_embeddings: positive(),
  rms_norm_eps: z.number().positive().default(1e-6),
  rope_theta: z.number().positive().optional(),
  rope_scaling: rope.nullish(),
  rope_parameters: rope.nullish(), // where transformers 5 keeps θ
  hidden_act: required('silu'),
  tie_word_embeddings: z.boolean().default(false),
  attention_bias: required(false),
  mlp_bias: required(false),
  resid_pdrop: z.number().min(0).lt(1).default(0), // ours: Llama itself has no dropout
});

export const llama: Architecture = {
  modelType: 'llama',

  parameters: ({ layers, heads, kvHeads, channels, hidden, vocab, tieEmbeddings }) => {
    const kvChannels = (channels / heads) * kvHeads;
    const norm = (name: string): ParameterRow => ({
      name: `${name}.weight`,
      shape: [channels],
      kind: 'vector',
      group: 'norms',
      initial: one,
    });
    const linear = (name: string, group: ParameterGroup, from: number, to: number): ParameterRow => ({
      name: `${name}.weight`,
      shape: [to, from],
      kind: 'matrix',
      group,
      initial: normal,
    });
    const rows: ParameterRow[] = [
      {
        name: 'model.embed_tokens.weight',
        shape: [vocab, channels],
        kind: 'embedding',
        group: 'embeddings',
        initial: normal,
      },
    ];
    for (let layer = 0; layer < layers; layer++) {
      const block = `model.layers.${layer}`;
      rows.push(
        norm(`${block}.input_layernorm`),
        linear(`${block}.self_attn.q_proj`, 'attention', channels, channels),
        linear(`${block}.self_attn.k_proj`, 'attention', channels, kvChannels),
        linear(`${block}.self_attn.v_proj`, 'attention', channels, kvChannels),
        linear(`${block}.self_attn.o_proj`, 'attention', channels, channels),
        norm(`${block}.post_attention_layernorm`),
        linear(`${block}.mlp.gate_proj`, 'mlp', channels, hidden),
        linear(`${block}.mlp.up_proj`, 'mlp', channels, hidden),
        linear(`${block}.mlp.down_proj`, 'mlp', hidden, channels),
      );
    }
    rows.push(norm('model.norm'));
    if (!tieEmbeddings) {
      rows.push({
        name: 'lm_head.weight',
        shape: [vocab, channels],
        kind: 'embedding',
        group: 'head',
        initial: normal,
      });
    }
    return rows;
  },

  // Dropout, where a config asks for it, stands where GPT-2 has it (see gpt2.ts).
  forward: ({ graph, config, parameter, ids, positions, attend, block, drop, select }) => {
    const { heads, kvHeads, channels, epsilon, ropeTheta: theta } = config;
    const headDim = channels / heads;
    const norm = (x: Node, name: string) => graph.rmsNorm(x, parameter(`${name}.weight`), epsilon);
    const linear = (x: Node, name: string) => graph.linear(x, parameter(`${name}.weight`), null, 'outIn');
    const rotate = (x: Node, count: number) => graph.rope(x, positions, { heads: count, headDim, theta });
    const tokens = parameter('model.embed_tokens.weight');
    let x = drop(graph.embedding(tokens, ids)); // [N,C]
    for (let layer = 0; layer < config.layers; layer++) {
      const name = `model.layers.${layer}`;
      x = block(x, (x) => {
        const a = norm(x, `${name}.input_layernorm`);
        const q = rotate(linear(a, `${name}.self_attn.q_proj`), heads);
        const k = rotate(linear(a, `${name}.self_attn.k_proj`), kvHeads);
        const v = linear(a, `${name}.self_attn.v_proj`);
        const attended = attend(graph.concat([q, k, v]), layer); // [N,C]
        const y = graph.add(x, drop(linear(attended, `${name}.self_attn.o_proj`)));
        const m = norm(y, `${name}.post_attention_layernorm`);
        const inner = graph.swiglu(linear(m, `${name}.mlp.gate_proj`), linear(m, `${name}.mlp.up_proj`)); // [N,F]
        return graph.add(y, drop(linear(inner, `${name}.mlp.down_proj`)));
      });
    }
    const head = config.tieEmbeddings ? tokens : parameter('lm_head.weight');
    return { hidden: norm(select(x), 'model.norm'), head };
  },

  toHuggingFace: (config) => ({
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    vocab_size: config.vocab,
    hidden_size: config.channels,
    intermediate_size: config.hidden,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    max_position_embeddings: config.context,
    rms_norm_eps: config.epsilon,
    rope_theta: config.ropeTheta,
    hidden_act: 'silu',
    tie_word_embeddings: config.tieEmbeddings,
    attention_bias: false,
    mlp_bias: false,
    attention_dropout: 0,
    ...(config.dropout > 0 ? { resid_pdrop: config.dropout } : {}),
  }),

  fromHuggingFace: (json) => {
    const it = parseHuggingFace(
      huggingFace.refine((c) => c.head_dim == null || c.head_dim * c.num_attention_heads === c.hidden_size, {
        path: ['head_dim'],
        message: 'must be hidden_size / num_attention_heads',
      }),
      json,
    );
    return {
      arch: 'llama',
      layers: it.num_hidden_layers,
      heads: it.num_attention_heads,
      kvHeads: it.num_key_value_heads ?? it.num_attention_heads,
      channels: it.hidden_size,
      hidden: it.intermediate_size,
      context: it.max_position_embeddings,
      vocab: it.vocab_size,
      dropout: it.resid_pdrop,
      tieEmbeddings: it.tie_word_embeddings,
      activation: 'silu',
      epsilon: it.rms_norm_eps,
      ropeTheta: it.rope_parameters?.rope_theta ?? it.rope_scaling?.rope_theta ?? it.rope_theta ?? 10000,
    };
  },

  // Two thirds of 4C, so that three matrices weigh as much as GPT-2's two (Shazeer 2020), rounded up to 32.
  resolve: (shape) => ({
    ...shape,
    hidden: 32 * Math.ceil((8 * shape.channels) / 3 / 32),
    activation: 'silu',
    epsilon: 1e-5,
    ropeTheta: 10000,
  }),
};
