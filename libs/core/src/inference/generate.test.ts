import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadModel } from '../checkpoint/index.js';
import { Graph } from '../graph/index.js';
import { createCpuKernels, createReferenceKernels, type Kernels } from '../kernels/index.js';
import { forward, type Model, parameterNodes, uploadWeights } from '../model/index.js';
import { type GeneratedToken, type GenerateOptions, generate, type ReadonlyWeights } from './index.js';

const fixtures = fileURLToPath(new URL('../../../../test/fixtures/parity', import.meta.url));
const names = ['gpt2-tiny', 'llama-tiny'];
const fixture = (name: string) => ({
  ...loadModel(join(fixtures, name)),
  expected: JSON.parse(readFileSync(join(fixtures, name, 'expected.json'), 'utf8')) as { greedy: number[] },
});
const backends: readonly [name: string, create: () => Promise<Kernels>][] = [
  ['reference', async () => createReferenceKernels()],
  ['cpu', () => createCpuKernels()],
];

async function collect(
  kernels: Kernels,
  model: Model,
  weights: ReadonlyWeights,
  prompt: ArrayLike<number>,
  options: GenerateOptions,
): Promise<GeneratedToken[]> {
  const tokens = [];
  for await (const token of generate(kernels, model, weights, prompt, options)) tokens.push(token);
  return tokens;
}
const ids = (tokens: readonly GeneratedToken[]) => tokens.map(({ id }) => id);

for (const name of names) {
  for (const [backend, create] of backends) {
    test(`${name} on ${backend} continues greedily as PyTorch does`, async () => {
      const kernels = await create();
      const { model, weights, expected } = fixture(name);
      const prompt = expected.greedy.slice(0, 4);
      const tokens = await collect(kernels, model, weights, prompt, { maxTokens: 12, temperature: 0 });
      assert.deepEqual(ids(tokens), expected.greedy.slice(4));
      await kernels.dispose();
    });

    test(`${name} on ${backend} samples the same tokens with its cache as without, also past its context`, async () => {
      const kernels = await create();
      const { model, weights } = fixture(name);
      const prompt = [5, 17, 3];
      const count = model.config.context + 6;
      const options = { seed: 11, temperature: 1.5, topP: 0.95, repetitionPenalty: 1.1 };
      const cached = await collect(kernels, model, weights, prompt, { ...options, maxTokens: count });
      assert.ok(new Set(ids(cached)).size > 10, 'a varied text, or the test proves little');
      const whole = [...prompt];
      for (const { id, position, logProbability } of cached) {
        const [token] = await collect(kernels, model, weights, whole, { ...options, maxTokens: 1 });
        assert.deepEqual([token.id, token.position], [id, position]);
        assert.ok(Math.abs(token.logProbability - logProbability) < 1e-4);
        whole.push(id);
      }
      await kernels.dispose();
    });
  }

  test(`${name} past its context sees exactly the last tokens, from position 0 on`, async () => {
    const kernels = createReferenceKernels();
    const { model, weights } = fixture(name);
    const { context, vocab } = model.config;
    const prompt = Array.from({ length: context - 2 }, (_, i) => (i * 7) % vocab);
    const tokens = await collect(kernels, model, weights, prompt, { maxTokens: 8, temperature: 0 });
    const whole = [...prompt];
    for (const { id } of tokens) {
      const window = Int32Array.from(whole.slice(-context));
      const graph = new Graph(kernels, { record: false });
      const parameter = parameterNodes(graph, uploadWeights(kernels, model, weights));
      const logits = await kernels.read(
        forward(graph, model, parameter, { ids: window, batch: 1, time: window.length }).output,
      );
      const last = [...logits.subarray(-vocab)];
      assert.equal(id, last.indexOf(Math.max(...last)));
      whole.push(id);
    }
    const longer = [1, 2, 3, ...prompt, 4, 5];
    const [direct] = await collect(kernels, model, weights, longer, { maxTokens: 1, temperature: 0 });
    const [cut] = await collect(kernels, model, weights, longer.slice(-context), {
      maxTokens: 1,
      temperature: 0,
    });
    assert.equal(direct.id, cut.id, 'of a prompt longer than the context, the end counts');
  });
}

test('the same seed gives the same text, another seed another one', async () => {
  const kernels = createReferenceKernels();
  const { model, weights } = fixture('gpt2-tiny');
  const sample = async (seed: number) =>
    ids(await collect(kernels, model, weights, [1], { maxTokens: 12, seed }));
  assert.deepEqual(await sample(5), await sample(5));
  assert.notDeepEqual(await sample(5), await sample(6));
});

test('generation says why it ends', async () => {
  const kernels = createReferenceKernels();
  const { model, weights } = fixture('gpt2-tiny');
  const run = async (options: Partial<GenerateOptions>) => {
    const tokens = generate(kernels, model, weights, [31, 30, 3], {
      maxTokens: 5,
      temperature: 0,
      ...options,
    });
    const reasons = [];
    for (;;) {
      const { value, done } = await tokens.next();
      if (done) return [...reasons, value];
      reasons.push(value.finishReason);
    }
  };
  const [first] = await collect(kernels, model, weights, [31, 30, 3], { maxTokens: 1, temperature: 0 });
  assert.deepEqual(await run({}), [null, null, null, null, 'length', 'length']);
  assert.deepEqual(await run({ maxTokens: 0 }), ['length']);
  assert.deepEqual(await run({ endOfText: first.id }), ['endOfText', 'endOfText']);
  assert.deepEqual(await run({ stop: (all) => all.length === 2 && all[0] === first.id }), [
    null,
    'stop',
    'stop',
  ]);
});

test('a reader who leaves early leaves the device as it was, and the weights untouched', async () => {
  const kernels = createReferenceKernels();
  const marks: number[] = [];
  const released: number[] = [];
  const { mark, release } = kernels;
  kernels.mark = () => marks[marks.push(mark.call(kernels)) - 1];
  kernels.release = (to) => release.call(kernels, released[released.push(to) - 1]);
  const { model, weights } = fixture('llama-tiny');
  const before = weights.slice();
  const probe = kernels.tensor(Float32Array.of(42), [1]);
  for await (const _ of generate(kernels, model, weights, [1, 2], { maxTokens: 50 })) break;
  assert.equal(released.at(-1), marks[0], 'all that was uploaded is freed');
  assert.deepEqual([...(await kernels.read(probe))], [42], 'and nothing else');
  assert.deepEqual(weights, before);
});

test('prompts and counts that cannot be are refused', async () => {
  const kernels = createReferenceKernels();
  const { model, weights } = fixture('gpt2-tiny');
  const refused = (prompt: number[], options: Partial<GenerateOptions>, message: RegExp) =>
    assert.rejects(collect(kernels, model, weights, prompt, { maxTokens: 1, ...options }), {
      name: 'UserError',
      message,
    });
  await refused([], {}, /The prompt has no tokens/);
  await refused(
    [96],
    {},
    /token 96, but the model's vocabulary has 96: use the tokenizer it was trained with/,
  );
  await refused([-1], {}, /token -1/);
  await refused([1.5], {}, /token 1\.5/);
  await refused([1], { maxTokens: -1 }, /max-tokens is -1/);
  await refused([1], { topP: 2 }, /top-p is 2/);
});

test('inference has no way to change a weight', () => {
  const weights: ReadonlyWeights = new Float32Array([1]);
  // @ts-expect-error an element cannot be assigned
  assert.doesNotThrow(() => (weights[0] = 1));
  // @ts-expect-error nor is there a method that writes
  assert.equal(typeof weights.fill, 'function');
});

test('nothing that inference imports, however far, leads to the optimiser or the training loop', () => {
  const room = dirname(fileURLToPath(import.meta.url));
  const seen = new Set<string>();
  const visit = (file: string) => {
    if (seen.has(file)) return;
    seen.add(file);
    for (const [, specifier] of readFileSync(file, 'utf8').matchAll(
      /(?:from|import)\s*\(?\s*['"](\.[^'"]+)['"]/g,
    )) {
      visit(resolve(dirname(file), specifier));
    }
  };
  for (const name of readdirSync(room)) if (/(?<!\.test)\.js$/.test(name)) visit(join(room, name));
  const rooms = new Set(
    [...seen].map(
      (file) =>
        resolve(file, '..')
          .slice(resolve(room, '..').length + 1)
          .split(/[\\/]/)[0],
    ),
  );
  assert.ok(rooms.has('graph') && rooms.has('model') && rooms.has('numeric'), [...rooms].join());
  for (const forbidden of ['optim', 'train', 'reduce', 'checkpoint', 'data'])
    assert.ok(!rooms.has(forbidden), forbidden);
});
