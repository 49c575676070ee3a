import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { manyhands, temporaryFolder, tiny } from './command-line.js';

/** Text of random words: nothing in it can be known but by heart. */
function noise(words: number): string {
  let state = 7;
  const letter = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return 'abcdefghijklmnop'[state >>> 28];
  };
  return Array.from({ length: words }, () => `${letter()}${letter()}${letter()}`).join(' ');
}

const small = ['context=32', 'channels=64'].flatMap((set) => ['--set', `model.${set}`]);
const recipe = ['optimizer.lr=0.005', 'batch.sequences=12', 'data.validation=0.3', 'run.evalEvery=0'].flatMap(
  (set) => ['--set', set],
);

test('a model that learned noise by heart is told from one that has not begun', async (context) => {
  const folder = temporaryFolder(context);
  writeFileSync(path.join(folder, 'noise.txt'), noise(110));
  const train = ['train', '--data', 'noise.txt', '--seed', '5', ...tiny, ...small, ...recipe];
  const found = async (steps: number) => {
    const out = `run-${steps}`;
    const trained = await manyhands([...train, '--steps', String(steps), '--out', out], { cwd: folder });
    assert.equal(trained.status, 0, trained.stderr);
    const probe = ['eval', '--model', out, '--memorization'];
    const said = await manyhands(probe, { cwd: folder });
    const { memorization } = JSON.parse((await manyhands([...probe, '--json'], { cwd: folder })).stdout);
    return { ...memorization, said: said.stdout };
  };
  const before = await found(1);
  assert.equal(before.continued, 16);
  assert.equal(before.train.model.share, 0);
  assert.match(before.said, /nothing shows that the model remembers/);

  const after = await found(600);
  assert.ok(after.train.model.share > 0.6, `${after.train.model.share} of the training text`);
  assert.equal(after.validation.model.share, 0);
  assert.equal(after.train.bigram.share, 0);
  assert.match(after.said, /the model remembers its training text: [\d.]+ % more/);
});

test('without the data that a model was trained on the probe says what to give', async (context) => {
  const folder = temporaryFolder(context);
  writeFileSync(path.join(folder, 'a.txt'), noise(60));
  const train = ['train', '--data', 'a.txt', '--steps', '1', '--out', 'run', ...tiny];
  const trained = await manyhands(train, { cwd: folder });
  assert.equal(trained.status, 0, trained.stderr);
  const probe = (...data: string[]) =>
    manyhands(['eval', '--model', 'run', '--memorization', '--data', ...data], { cwd: folder });
  const none = await probe('.');
  assert.equal(none.status, 2);
  assert.match(none.stderr, /has no prepared data with it: give the folder that the model was trained on/);
  const two = await probe('run/data', 'a.txt');
  assert.equal(two.status, 2);
  assert.match(two.stderr, /takes one folder of prepared data, but --data names 2/);
  const other = ['data', 'prepare', '--data', 'a.txt', '--tokenizer', 'r50k_base', '--out', 'other'];
  assert.equal((await manyhands(other, { cwd: folder })).status, 0);
  const foreign = await probe('other');
  assert.equal(foreign.status, 2);
  assert.match(foreign.stderr, /prepared with another tokenizer than the model's/);
});
