import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from '@manyhands/core/config';
import { refuseChanges, refuseFinished } from './resume.js';

const started = parseConfig({ model: { layers: 2 }, run: { steps: 10, seed: 3 } });

test('a run may be resumed for longer, slower and with other evaluations', () => {
  const asked = {
    ...started,
    run: { ...started.run, steps: 20, evalEvery: 1, keepLast: 9 },
    optimizer: { ...started.optimizer, lr: 1e-4 },
    cluster: { ...started.cluster, minWorkers: 3 },
  };
  assert.doesNotThrow(() => refuseChanges('runs/a', started, asked));
});

for (const [changed, sentence] of [
  [
    { model: { ...started.model, layers: 3 } },
    /model\.layers is 3, but the run in runs\/a was started with 2,/,
  ],
  [{ run: { ...started.run, seed: 4 } }, /run\.seed is 4, .* with 3,/],
  [{ data: { ...started.data, tokenizer: 'bpe' } }, /data\.tokenizer is "bpe", .* with "char",/],
  [{ batch: { ...started.batch, sequences: 6 } }, /batch\.sequences is 6, .* with 12,/],
] as const) {
  test(`${Object.keys(changed)[0]} cannot change what the weights so far came from`, () => {
    assert.throws(() => refuseChanges('runs/a', started, { ...started, ...changed }), sentence);
  });
}

test('a finished run says that it is finished, and how to go on', () => {
  assert.throws(
    () => refuseFinished('runs/a', 6, 6, false),
    /runs\/a is at step 6 already, .* give --steps above 6/,
  );
  assert.doesNotThrow(() => refuseFinished('runs/a', 5, 6, false));
  assert.doesNotThrow(() => refuseFinished('runs/a', 6, 6, true), 'its workers are to hear it');
  assert.throws(() => refuseFinished('runs/a', 7, 6, true), /is at step 7 already, and 6 steps/);
});
