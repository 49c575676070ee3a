import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createModel, initialWeights, type ModelConfig } from '../model/index.js';
import { loadModel, type NamedTensor, readSafetensors, writeSafetensors } from './index.js';
import { modelFiles } from './model-directory.js';
import { model } from './test-content.js';

const fixtures = fileURLToPath(new URL('../../../../test/fixtures/parity', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'model-directory-'));
after(() => rmSync(folder, { recursive: true }));

const tiny = model.config;
const tinyLlama: ModelConfig = { ...tiny, arch: 'llama', kvHeads: 1, activation: 'silu' };

let made = 0;
function save(config: ModelConfig, tokenizerJson: string | null = null): string {
  const directory = join(folder, String(made++));
  mkdirSync(directory);
  const model = createModel(config);
  for (const [name, parts] of modelFiles(model, initialWeights(model, 1), tokenizerJson)) {
    writeFileSync(join(directory, name), Buffer.concat(parts));
  }
  return directory;
}

/** A copy of a fixture whose tensors were changed. */
function changed(name: string, change: (tensors: NamedTensor[]) => NamedTensor[]): string {
  const directory = join(folder, String(made++));
  cpSync(join(fixtures, name), directory, { recursive: true });
  const path = join(directory, 'model.safetensors');
  const tensors = [...readSafetensors(path).tensors].map(([key, tensor]) => ({ name: key, ...tensor }));
  rmSync(path);
  writeSafetensors(path, change(tensors));
  return directory;
}

const json = (path: string) => JSON.parse(readFileSync(path, 'utf8'));

for (const name of ['gpt2-tiny', 'llama-tiny']) {
  test(`${name}, saved by PyTorch, loads with its weights in the file's order`, () => {
    const { model, weights, weightsSha256, tokenizerJson } = loadModel(join(fixtures, name));
    const bytes = readFileSync(join(fixtures, name, 'model.safetensors'));
    const data = bytes.subarray(8 + Number(bytes.readBigUInt64LE()));
    assert.equal(model.size * 4, data.length);
    assert.equal(weights.length, model.size);
    assert.equal(weightsSha256, createHash('sha256').update(data).digest('hex'));
    assert.equal(tokenizerJson, null);
  });

  test(`${name} loads the same from a base model's or a whole model's names, with a copy of its tied head`, () => {
    const { weightsSha256 } = loadModel(join(fixtures, name));
    const rename = (to: (key: string) => string) =>
      loadModel(changed(name, (tensors) => tensors.map((one) => ({ ...one, name: to(one.name) }))))
        .weightsSha256;
    if (name === 'gpt2-tiny')
      assert.equal(
        rename((key) => `transformer.${key}`),
        weightsSha256,
      );
    else
      assert.equal(
        rename((key) => key.replace(/^model\./, '')),
        weightsSha256,
      );
    const withHead = changed(name, (tensors) => [...tensors, { ...tensors[0], name: 'lm_head.weight' }]);
    assert.equal(loadModel(withHead).weightsSha256, weightsSha256);
  });
}

for (const config of [
  tiny,
  tinyLlama,
  { ...tiny, tieEmbeddings: false },
  { ...tinyLlama, tieEmbeddings: false },
]) {
  const { arch, tieEmbeddings } = config;
  test(`a ${arch} model with ${tieEmbeddings ? 'tied embeddings' : 'its own head'} loads as it was saved`, () => {
    const { model, weights } = loadModel(save(config));
    assert.deepEqual(model.config, config);
    assert.deepEqual(weights, initialWeights(model, 1));
  });
}

test('a model directory is what transformers asks for', () => {
  const tokenizer = JSON.stringify({ added_tokens: [{ id: 3, content: '<|endoftext|>', special: true }] });
  const directory = save(tiny, tokenizer);
  const config = json(join(directory, 'config.json'));
  assert.deepEqual(
    [config.model_type, config.architectures, config.eos_token_id],
    ['gpt2', ['GPT2LMHeadModel'], 3],
  );
  assert.deepEqual(json(join(directory, 'generation_config.json')), { bos_token_id: 3, eos_token_id: 3 });
  assert.equal(readFileSync(join(directory, 'tokenizer.json'), 'utf8'), tokenizer);
  assert.equal(loadModel(directory).tokenizerJson, tokenizer);
  const { metadata, tensors } = readSafetensors(join(directory, 'model.safetensors'));
  assert.deepEqual(metadata, { format: 'pt' });
  assert.ok(tensors.has('wte.weight') && !tensors.has('lm_head.weight'));
});

test('GPT-2 with its own head is saved by the names of the whole model, which transformers needs beside lm_head', () => {
  const { tensors } = readSafetensors(join(save({ ...tiny, tieEmbeddings: false }), 'model.safetensors'));
  assert.ok(tensors.has('lm_head.weight'));
  assert.deepEqual(
    [...tensors.keys()].filter((name) => name !== 'lm_head.weight' && !name.startsWith('transformer.')),
    [],
  );
});

test('weights of half the width are read as what they are', () => {
  const directory = save(tiny);
  const path = join(directory, 'model.safetensors');
  const { weights } = loadModel(directory);
  let offset = 0;
  const header: Record<string, object> = {};
  const parts: Buffer[] = [];
  for (const [name, { shape, data }] of readSafetensors(path).tensors) {
    header[name] = { dtype: 'BF16', shape, data_offsets: [offset, offset + 2 * data.length] };
    offset += 2 * data.length;
    parts.push(Buffer.from(Uint16Array.from(new Uint32Array(data.buffer), (bits) => bits >>> 16).buffer));
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(path, Buffer.concat([length, text, ...parts]));
  const cut = new Float32Array(
    Uint32Array.from(new Uint32Array(weights.buffer), (bits) => bits & 0xffff0000).buffer,
  );
  assert.deepEqual(loadModel(directory).weights, cut);
});

const refused: readonly [what: string, directory: () => string, message: RegExp][] = [
  [
    'a tensor that is missing',
    () => changed('gpt2-tiny', (tensors) => tensors.filter(({ name }) => name !== 'h.1.ln_2.bias')),
    /model\.safetensors has no tensor h\.1\.ln_2\.bias/,
  ],
  [
    'a tensor of another shape',
    () =>
      changed('gpt2-tiny', (tensors) =>
        tensors.map((one) => (one.name === 'wte.weight' ? { ...one, shape: [32, 96] } : one)),
      ),
    /wte\.weight is \[32,96\], but config\.json makes it \[96,32\]/,
  ],
  [
    'a tensor that the model does not know',
    () =>
      changed('llama-tiny', (tensors) => [
        ...tensors,
        { ...tensors[0], name: 'model.layers.0.self_attn.q_proj.bias' },
      ]),
    /has the tensor "model\.layers\.0\.self_attn\.q_proj\.bias", which a llama model does not have/,
  ],
  [
    'an empty folder',
    () => mkdtempSync(join(folder, 'empty-')),
    /config\.json cannot be read \(no such file\)/,
  ],
  [
    'a config that is no JSON',
    () => {
      const directory = save(tiny);
      writeFileSync(join(directory, 'config.json'), '{');
      return directory;
    },
    /config\.json is not JSON/,
  ],
  [
    'another architecture',
    () => {
      const directory = save(tiny);
      writeFileSync(join(directory, 'config.json'), '{"model_type":"bert"}');
      return directory;
    },
    /model_type is "bert"/,
  ],
  [
    'a model in several files',
    () => {
      const directory = save(tiny);
      rmSync(join(directory, 'model.safetensors'));
      writeFileSync(join(directory, 'model.safetensors.index.json'), '{}');
      return directory;
    },
    /is split into several files/,
  ],
];

for (const [what, directory, message] of refused) {
  test(`refused: ${what}`, () => {
    const path = directory();
    assert.throws(() => loadModel(path), { name: 'UserError', message });
  });
}

test('constants that old files carry beside the weights are passed over', () => {
  const mask = { name: 'h.0.attn.bias', shape: [1], data: Float32Array.of(1) };
  const directory = changed('gpt2-tiny', (tensors) => [
    ...tensors,
    mask,
    { ...mask, name: 'h.0.attn.masked_bias' },
  ]);
  assert.equal(loadModel(directory).weightsSha256, loadModel(join(fixtures, 'gpt2-tiny')).weightsSha256);
});
