import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadModel } from '../checkpoint/index.js';
import { createReferenceKernels } from '../kernels/index.js';
import { bitsPerByte, evaluate, perplexity } from './index.js';

const fixtures = fileURLToPath(new URL('../../../../test/fixtures/parity', import.meta.url));
const kernels = createReferenceKernels();

function fixture(name: string) {
  const json = (file: string) => JSON.parse(readFileSync(join(fixtures, name, file), 'utf8'));
  const batch: { input_ids: number[][]; labels: number[][] } = json('batch.json');
  const windows = batch.input_ids.map((inputs, i) =>
    Int32Array.of(...inputs, batch.labels[i][inputs.length - 1]),
  );
  const { model, weights } = loadModel(join(fixtures, name));
  return { model, weights, windows, loss: json('expected.json').loss as number };
}

for (const name of ['gpt2-tiny', 'llama-tiny']) {
  test(`the loss of ${name} is PyTorch's, however many windows are computed at once`, async () => {
    const { model, weights, windows, loss } = fixture(name);
    for (const batch of [1, 2, 3, 8]) {
      const result = await evaluate(kernels, model, weights, windows, { batch });
      assert.equal(result.tokens, 48);
      assert.ok(Math.abs(result.loss - loss) < 1e-6, `${result.loss}, not ${loss}`);
    }
  });
}

test('where there is no token there is no target, and lengths may differ', async () => {
  const { model, weights, windows } = fixture('gpt2-tiny');
  const short = windows.map((window, i) => window.slice(0, 5 + 3 * i)); // 4 + 7 + 10 targets
  const padded = short.map((window) => Int32Array.of(...window, ...new Array(17 - window.length).fill(-1)));
  const expected = await evaluate(kernels, model, weights, short, { batch: 2 });
  const result = await evaluate(kernels, model, weights, padded, { batch: 3 });
  assert.equal(expected.tokens, 21);
  assert.equal(result.tokens, 21);
  assert.ok(Math.abs(result.loss - expected.loss) < 1e-12);
});

test('windows may come one by one from elsewhere, and progress is told', async () => {
  const { model, weights, windows, loss } = fixture('llama-tiny');
  async function* slowly() {
    yield* windows;
  }
  const told: number[] = [];
  const result = await evaluate(kernels, model, weights, slowly(), {
    batch: 2,
    progress: (tokens) => told.push(tokens),
  });
  assert.ok(Math.abs(result.loss - loss) < 1e-6);
  assert.deepEqual(told, [32, 48]);
});

test('each window is heard in turn, with its own losses', async () => {
  const { model, weights, windows } = fixture('gpt2-tiny');
  const short = windows.map((window, i) => (i === 2 ? Int32Array.of(...window.slice(0, 9), -1, -1) : window));
  const heard: [Int32Array, number[]][] = [];
  await evaluate(kernels, model, weights, short, {
    batch: 2,
    heard: (window, losses) => heard.push([window, [...losses]]),
  });
  assert.deepEqual(
    heard.map(([window]) => window),
    short,
  );
  for (const [window, losses] of heard) {
    const targets = window.filter((id, at) => at > 0 && id >= 0).length;
    const alone = await evaluate(kernels, model, weights, [window], { batch: 1 });
    assert.ok(Math.abs(losses.reduce((a, b) => a + b) / targets - alone.loss) < 1e-9);
    assert.deepEqual(losses.slice(targets), new Array(window.length - 1 - targets).fill(0));
  }
});

test('data without a target is refused', async () => {
  const { model, weights } = fixture('gpt2-tiny');
  for (const windows of [[], [Int32Array.of(1)], [Int32Array.of(1, -1, -1)]]) {
    await assert.rejects(evaluate(kernels, model, weights, windows, { batch: 2 }), {
      name: 'UserError',
      message: /nothing to evaluate/,
    });
  }
});

test('perplexity and bits per byte are the loss in other words', () => {
  assert.ok(Math.abs(perplexity(Math.log(65)) - 65) < 1e-12);
  assert.equal(perplexity(0), 1);
  // two bits a token, four bytes a token: half a bit a byte
  assert.ok(Math.abs(bitsPerByte(2 * Math.LN2, { tokens: 100, bytes: 400 }) - 0.5) < 1e-15);
});
