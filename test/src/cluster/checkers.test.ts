import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parseConfig } from '@manyhands/core/config';
import { run, temporaryFolder } from './cluster.js';

/*
 * Games against oneself are micro-batches like any other: who plays them, and how often the run was interrupted, does
 * not change a weight.
 */

const folder = temporaryFolder(after);

const configOf = (evaluation: string, keys: object = {}) =>
  parseConfig({
    task: { name: 'checkers', evaluation, hidden: 6, depth: 1, openingMoves: 4, maxMoves: 60 },
    optimizer: { lr: 0.05, weightDecay: 0 },
    batch: { sequences: 6 },
    run: { steps: 5, seed: 3, evalEvery: 0, checkpointEvery: 2, reproducible: true, ...keys },
    cluster: { heartbeatSeconds: 0.2, lostAfterSeconds: 5 },
  });

for (const evaluation of ['samuel', 'network']) {
  const config = configOf(evaluation);
  const calm = await run(config, join(folder, evaluation), { threads: [1] });

  test(`${evaluation}: more threads and workers, one of them sharing memory, come to the same weights`, async () => {
    const many = await run(config, join(folder, `${evaluation}-many`), { threads: [2, 1], sharing: 1 });
    assert.equal(many.summary.weightsSha256, calm.summary.weightsSha256);
    assert.equal(many.summary.tokens, calm.summary.tokens);
  });

  test(`${evaluation}: interrupted and resumed with another crew, so does it`, async () => {
    const out = join(folder, `${evaluation}-resumed`);
    const first = await run(config, out, {
      threads: [1],
      during: (event, stage) => {
        if (event.kind === 'step' && event.step === 3) stage.stop();
      },
    });
    assert.ok(first.summary.interrupted);
    const second = await run(config, out, { threads: [1, 1] }, true);
    assert.equal(second.summary.weightsSha256, calm.summary.weightsSha256);
    assert.equal(second.summary.tokens, calm.summary.tokens);
  });

  test(`${evaluation}: a worker that is believed only with another's word changes nothing`, async () => {
    const checked = parseConfig({ ...config, cluster: { ...config.cluster, verify: 1, minWorkers: 2 } });
    const two = await run(checked, join(folder, `${evaluation}-checked`), { threads: [1, 1] });
    assert.equal(two.summary.weightsSha256, calm.summary.weightsSha256);
  });
}

test('another seed plays other games', async () => {
  const [one, other] = [3, 4].map((seed) => configOf('samuel', { seed, steps: 1 }));
  const first = await run(one, join(folder, 'seed-3'), { threads: [1] });
  const second = await run(other, join(folder, 'seed-4'), { threads: [1] });
  assert.notEqual(first.summary.weightsSha256, second.summary.weightsSha256);
});

test('a few steps learn what material is: fewer points are lost to who counts it', async () => {
  const config = parseConfig({
    ...configOf('samuel', { steps: 20, evalEvery: 20 }),
    batch: { sequences: 16 },
  });
  const out = join(folder, 'learns');
  await run(config, out, { threads: [2] });
  const losses = readFileSync(join(out, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .filter(({ kind }) => kind === 'eval')
    .map(({ validationLoss, gap }) => ({ validationLoss, gap }));
  assert.equal(losses.length, 2);
  assert.ok(losses[0].validationLoss > 0.8);
  assert.ok(losses[1].validationLoss < losses[0].validationLoss - 0.2, `${losses[1].validationLoss}`);
  assert.deepEqual(
    losses.map(({ gap }) => gap),
    [null, null],
  );
});
