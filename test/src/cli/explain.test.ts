import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { readSafetensors } from '@manyhands/core/checkpoint';
import { manyhands, parity, temporaryFolder } from './command-line.js';

for (const name of ['gpt2-tiny', 'llama-tiny']) {
  test(`explain of ${name} gives PyTorch’s logits, loss, gradients, and weights after ten steps`, async (context) => {
    const model = path.join(parity, name);
    const folder = temporaryFolder(context);
    const expected = JSON.parse(readFileSync(path.join(model, 'expected.json'), 'utf8'));
    writeFileSync(path.join(folder, 'optimizer.json'), JSON.stringify(expected.optimizer));
    const args = ['explain', '--model', model, '--batch', path.join(model, 'batch.json'), '--steps', '10'];
    const more = ['--optimizer', 'optimizer.json', '--dump', 'dump.safetensors', '--json'];
    const { status, stdout, stderr } = await manyhands([...args, ...more], { cwd: folder });
    assert.equal(status, 0, stderr);

    const told = JSON.parse(stdout);
    assert.equal(told.losses.length, 11);
    for (const [i, loss] of expected.losses.entries()) assert.ok(Math.abs(told.losses[i] - loss) < 1e-4);
    assert.equal(told.loss, told.losses[0]);
    assert.ok(Math.abs(told.gradNorm - expected.grad_norm) < 1e-4 * expected.grad_norm);

    const { tensors } = readSafetensors(path.join(model, 'expected.safetensors'));
    const dumped = readSafetensors(path.join(folder, 'dump.safetensors')).tensors;
    assert.deepEqual([...dumped.keys()].sort(), [...tensors.keys()].sort());
    for (const [key, { shape, data }] of tensors) {
      const ours = dumped.get(key);
      assert.deepEqual(ours?.shape, shape, key);
      const largest = data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const bound = key === 'logits' ? 1e-4 : 3e-4 * largest;
      const worst = data.reduce(
        (most, value, i) => Math.max(most, Math.abs(value - (ours?.data[i] ?? Number.NaN))),
        0,
      );
      assert.ok(worst <= bound, `${key} is off by ${worst}, allowed are ${bound}`);
    }
  });
}

test('the story and the JSON of explain tell the same numbers', async () => {
  const model = path.join(parity, 'gpt2-tiny');
  const args = ['explain', '--model', model, '--batch', path.join(model, 'batch.json')];
  const told = JSON.parse((await manyhands([...args, '--json'])).stdout);
  const { stdout } = await manyhands(args);
  const [first] = told.predictions;
  assert.equal(first.answer.id, told.tokens[1].id);
  assert.ok(stdout.includes(`loss ${told.losses[0].toFixed(4)} → ${told.losses[1].toFixed(4)}`));
  assert.ok(stdout.includes(`length ${told.gradNorm.toPrecision(4)}`));
  assert.ok(stdout.includes(`guess number ${first.rank}`));
  const probability = Number((100 * first.answer.probability).toPrecision(2));
  assert.ok(stdout.includes(`${probability}%`));
});
