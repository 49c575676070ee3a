import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { flopsPerToken, parameterCount } from './cost.js';
import { createModel, fromHuggingFace, initialWeights, resolveModelConfig, toHuggingFace } from './model.js';
import { tinyGpt2, tinyLlama, tinyModels } from './tiny.js';
import type { ModelConfig, ModelShape } from './types.js';

const gpt2Small: ModelShape = {
  arch: 'gpt2',
  layers: 12,
  heads: 12,
  kvHeads: 12,
  channels: 768,
  context: 1024,
  vocab: 50257,
  dropout: 0,
  tieEmbeddings: true,
};

const llama2: ModelConfig = {
  ...resolveModelConfig({ ...gpt2Small, arch: 'llama', layers: 32, heads: 32, kvHeads: 32, channels: 4096 }),
  context: 4096,
  vocab: 32000,
  hidden: 11008,
  tieEmbeddings: false,
};

describe('a model', () => {
  it('has as many parameters as the published ones', () => {
    assert.equal(parameterCount(resolveModelConfig(gpt2Small)), 124_439_808); // GPT-2 small
    const nano = { ...gpt2Small, layers: 4, heads: 4, kvHeads: 4, channels: 128, context: 64, vocab: 65 };
    assert.equal(parameterCount(resolveModelConfig(nano)), 809_856);
    assert.throws(() => createModel(llama2), /6738415616 parameters/); // Llama 2 7B, beyond one flat array
    const tinyLlama1b = { ...llama2, layers: 22, channels: 2048, kvHeads: 4, hidden: 5632, context: 2048 };
    assert.equal(parameterCount(tinyLlama1b), 1_100_048_384); // TinyLlama 1.1B
  });

  it('lies in one flat array without gaps, each name once', () => {
    for (const config of Object.values(tinyModels)) {
      const { parameters, size } = createModel(config);
      let end = 0;
      for (const parameter of parameters) {
        assert.equal(parameter.offset, end);
        assert.equal(
          parameter.size,
          parameter.shape.reduce((product, extent) => product * extent, 1),
        );
        assert.equal(parameter.decay, parameter.shape.length === 2);
        end += parameter.size;
      }
      assert.equal(size, end);
      assert.equal(new Set(parameters.map(({ name }) => name)).size, parameters.length);
      assert.equal(
        parameters.some(({ name }) => name === 'lm_head.weight'),
        !config.tieEmbeddings,
      );
    }
  });

  const broken: [string, ModelConfig, RegExp][] = [
    [
      'channels that its heads do not divide',
      { ...tinyGpt2, heads: 4, kvHeads: 4 },
      /channels is 6.*multiple of its 4/,
    ],
    ['grouped queries in GPT-2', { ...tinyGpt2, kvHeads: 1 }, /kvHeads is 1/],
    ['groups of unequal size', { ...tinyLlama, kvHeads: 3 }, /kvHeads is 3.*divisor of its 4/],
    ['heads of odd width to be rotated', { ...tinyLlama, channels: 12 }, /channels is 12.*even/],
    ['no layers', { ...tinyGpt2, layers: 0 }, /layers is 0/],
    ['half a token', { ...tinyGpt2, vocab: 2.5 }, /vocab is 2.5/],
    ['everything dropped', { ...tinyGpt2, dropout: 1 }, /dropout is 1/],
  ];
  for (const [what, config, message] of broken) {
    it(`with ${what} is refused in one sentence`, () => {
      assert.throws(() => createModel(config), { name: 'UserError', message });
    });
  }

  it('costs what the usual estimate says', () => {
    // nanoGPT's estimate_mfu: 6N + 12·L·C·T, with N without positions
    const config = resolveModelConfig(gpt2Small);
    const estimate = 6 * (124_439_808 - 1024 * 768) + 12 * 12 * 768 * 1024;
    assert.ok(Math.abs(flopsPerToken(config) / estimate - 1) < 0.002);
    assert.equal(flopsPerToken({ ...config, tieEmbeddings: false }), flopsPerToken(config));
  });
});

describe('initial weights', () => {
  const config = resolveModelConfig({
    ...gpt2Small,
    layers: 3,
    heads: 4,
    kvHeads: 4,
    channels: 64,
    vocab: 300,
    context: 50,
  });
  const statistics = (values: Float32Array) => {
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    return {
      mean,
      deviation: Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length),
    };
  };

  it("are GPT-2's: N(0, 0.02), smaller where the residual stream is added to, norms 1, biases 0", () => {
    const model = createModel(config);
    const weights = initialWeights(model, 1);
    for (const { name, offset, size, shape } of model.parameters) {
      const values = weights.subarray(offset, offset + size);
      if (shape.length === 1) {
        const expected = name.endsWith('weight') ? 1 : 0;
        assert.ok(
          values.every((value) => value === expected),
          name,
        );
        continue;
      }
      const { mean, deviation } = statistics(values);
      const expected = name.endsWith('c_proj.weight') ? 0.02 / Math.sqrt(6) : 0.02;
      assert.ok(Math.abs(deviation / expected - 1) < 5 / Math.sqrt(2 * size), `${name}: ${deviation}`);
      assert.ok(Math.abs(mean) < (5 * expected) / Math.sqrt(size), `${name}: mean ${mean}`);
    }
  });

  it("are Llama's: N(0, 0.02) throughout, norms 1", () => {
    const model = createModel({ ...tinyLlama, channels: 64, hidden: 96 });
    const weights = initialWeights(model, 1);
    for (const { name, offset, size, shape } of model.parameters) {
      const values = weights.subarray(offset, offset + size);
      if (shape.length === 1)
        assert.ok(
          values.every((value) => value === 1),
          name,
        );
      else assert.ok(Math.abs(statistics(values).deviation / 0.02 - 1) < 5 / Math.sqrt(2 * size), name);
    }
  });

  it('depend on the seed alone, and differ between parameters and seeds', () => {
    const model = createModel(config);
    const [first, again, other] = [1, 1, 2].map((seed) => initialWeights(model, seed));
    assert.deepEqual(first, again);
    const heads = model.parameters
      .filter(({ kind }) => kind !== 'vector')
      .flatMap(({ offset }) => [first[offset], other[offset]]);
    assert.equal(new Set(heads).size, heads.length);
  });
});

describe('config.json', () => {
  it('is read back as it was written', () => {
    const arbitrary = fc.record({
      layers: fc.integer({ min: 1, max: 100 }),
      heads: fc.integer({ min: 1, max: 8 }),
      headDim: fc.integer({ min: 1, max: 64 }),
      hidden: fc.integer({ min: 1, max: 10000 }),
      context: fc.integer({ min: 1, max: 5000 }),
      vocab: fc.integer({ min: 1, max: 100000 }),
      dropout: fc.double({ min: 0, max: 0.9, noNaN: true }),
      tieEmbeddings: fc.boolean(),
      epsilon: fc.double({ min: 1e-9, max: 1e-3, noNaN: true }),
      activation: fc.constantFrom('gelu_new', 'gelu', 'silu'),
    });
    fc.assert(
      fc.property(arbitrary, ({ headDim, ...rest }) => {
        const gpt2: ModelConfig = {
          ...rest,
          arch: 'gpt2',
          kvHeads: rest.heads,
          channels: rest.heads * headDim,
          ropeTheta: 10000,
        };
        const llama: ModelConfig = {
          ...gpt2,
          arch: 'llama',
          kvHeads: 1,
          channels: rest.heads * headDim * 2,
          activation: 'silu',
          ropeTheta: 500000,
        };
        for (const config of [gpt2, llama]) {
          assert.deepEqual(fromHuggingFace(JSON.parse(JSON.stringify(toHuggingFace(config)))), config);
        }
      }),
    );
  });

  it("of the hub's gpt2 is GPT-2 small", () => {
    const file = {
      activation_function: 'gelu_new',
      architectures: ['GPT2LMHeadModel'],
      attn_pdrop: 0.1,
      bos_token_id: 50256,
      embd_pdrop: 0.1,
      eos_token_id: 50256,
      initializer_range: 0.02,
      layer_norm_epsilon: 1e-5,
      model_type: 'gpt2',
      n_ctx: 1024,
      n_embd: 768,
      n_head: 12,
      n_layer: 12,
      n_positions: 1024,
      resid_pdrop: 0.1,
      summary_type: 'cls_index',
      task_specific_params: { 'text-generation': { do_sample: true, max_length: 50 } },
      vocab_size: 50257,
    };
    assert.deepEqual(fromHuggingFace(file), resolveModelConfig({ ...gpt2Small, dropout: 0.1 }));
  });

  const good = toHuggingFace(tinyLlama);
  it('takes the base of the rotation where transformers 5 writes it', () => {
    const { rope_theta: _, ...file } = good;
    assert.equal(
      fromHuggingFace({ ...file, rope_parameters: { rope_theta: 5e5, rope_type: 'default' } }).ropeTheta,
      5e5,
    );
    assert.equal(fromHuggingFace(file).ropeTheta, 10000);
  });

  const refused: [string, unknown, RegExp][] = [
    [
      'another architecture',
      { ...good, model_type: 'mamba' },
      /model_type is "mamba", but must be one of gpt2, llama/,
    ],
    ['nothing', null, /model_type is missing/],
    ['a list', [], /model_type is missing/],
    [
      'a missing width',
      { ...good, hidden_size: undefined },
      /hidden_size is missing: must be a whole number/,
    ],
    ['a width of text', { ...good, hidden_size: '32' }, /hidden_size is "32"/],
    ['a monstrous vocabulary', { ...good, vocab_size: 1e12 }, /vocab_size is 1000000000000: .*16777216/],
    ['layers without end', { ...good, num_hidden_layers: 1e6 }, /num_hidden_layers is 1000000: .*1024/],
    ['biases', { ...good, attention_bias: true }, /attention_bias is true: only false is supported/],
    [
      'stretched positions',
      { ...good, rope_scaling: { rope_type: 'llama3', factor: 8 } },
      /rope_scaling.rope_type is "llama3"/,
    ],
    ['another activation', { ...good, hidden_act: 'gelu' }, /hidden_act is "gelu": only "silu"/],
    ['heads of a width of their own', { ...good, head_dim: 64 }, /head_dim is 64/],
    ['heads that do not fit', { ...good, num_attention_heads: 3 }, /channels is 8/],
    [
      'scaling by layer',
      { ...toHuggingFace(tinyGpt2), scale_attn_by_inverse_layer_idx: true },
      /inverse_layer_idx is true/,
    ],
  ];
  for (const [what, json, message] of refused) {
    it(`with ${what} is refused in one sentence`, () => {
      assert.throws(() => fromHuggingFace(json), { name: 'UserError', message });
    });
  }
});
