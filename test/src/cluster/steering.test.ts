import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { readJournal } from '@manyhands/core/checkpoint';
import { run, temporaryFolder, tinyConfig } from './cluster.js';

const folder = temporaryFolder(after);

/** A run whose rate is 100 times the one that its model learns with. */
function tooFast(changes: Record<string, Record<string, unknown>> = {}) {
  return tinyConfig(folder, {
    model: { layers: 2, heads: 2, channels: 32, context: 32, dropout: 0 },
    optimizer: { lr: 1 },
    schedule: { name: 'constant', warmup: 0, ...changes.schedule },
    steering: { policy: 'rollback', window: 8, ...changes.steering },
    run: { steps: 60, seed: 7, evalEvery: 20, checkpointEvery: 4, reproducible: true, ...changes.run },
  });
}

const events = (out: string, name: string) =>
  readJournal(join(out, 'events.jsonl')).filter(({ event }) => event === name);

/** What a run did, without times: metrics and rollbacks. */
function course(out: string) {
  const learnt = readJournal(join(out, 'metrics.jsonl')).map(
    ({ kind, step, loss, learningRate, gradNorm, validationLoss }) => [
      kind,
      step,
      loss,
      learningRate,
      gradNorm,
      validationLoss,
    ],
  );
  const { steering } = JSON.parse(readFileSync(join(out, 'checkpoints/step-000060/state.json'), 'utf8'));
  return { learnt, steering };
}

const once = await run(tooFast(), join(folder, 'once'), { threads: [1] });

test('a rate 100 times too high diverges, is rolled back with its numbers, and the run still converges', () => {
  const { out, validationLoss } = once.summary;
  const back = events(out, 'rollback');
  assert.deepEqual(
    back.map(({ to, rateFactor }) => [to, Number(rateFactor).toPrecision(3)]),
    [
      [0, '0.100'],
      [0, '0.0100'],
    ],
  );
  for (const line of back) {
    assert.equal(line.signal, 'loss');
    assert.ok(Number(line.value) > Number(line.limit) && line.inARow === 3, JSON.stringify(line));
  }
  const warnings = once.events.filter((event) => event.kind === 'warning');
  assert.equal(warnings.length, 2);
  assert.match(
    warnings[0].text,
    /above .* back to the start of the run, with 0\.100 times the learning rate/,
  );
  // A new model has 2.93, one that knows the letters' frequencies alone 2.63.
  assert.ok(Number(validationLoss) < 1.6, `validation loss ${validationLoss}`);
});

test('other workers decide the same', async () => {
  const { summary } = await run(tooFast(), join(folder, 'crew'), { threads: [1, 2, 1] });
  assert.equal(summary.weightsSha256, once.summary.weightsSha256);
  assert.deepEqual(course(summary.out), course(once.summary.out));
});

test('so does a run that was interrupted amid the suspicion and after the rollback', async () => {
  const out = join(folder, 'interrupted');
  for (const step of [3, 6]) {
    const { summary } = await run(
      tooFast(),
      out,
      {
        threads: [1],
        during(event, stage) {
          if (event.kind === 'step' && event.step === step) stage.stop();
        },
      },
      step > 3,
    );
    assert.ok(summary.interrupted);
  }
  const { summary } = await run(tooFast(), out, { threads: [1] }, true);
  assert.equal(summary.weightsSha256, once.summary.weightsSha256);
  assert.deepEqual(course(out), course(once.summary.out));
});

test('a run that diverges on its way goes back to a checkpoint from before, which was kept for that', async () => {
  const config = tooFast({
    schedule: { name: 'constant', warmup: 60 },
    run: { keepLast: 1, evalEvery: 0, checkpointEvery: 2 },
  });
  const out = join(folder, 'on-the-way');
  const whole = await run(config, out, { threads: [1] });
  const [first] = events(out, 'rollback');
  assert.ok(Number(first.to) > 0 && Number(first.step) - Number(first.to) >= 4, JSON.stringify(first));
  assert.ok(!existsSync(join(out, 'checkpoints', 'step-000002')), 'the others were removed as ever');
  const { summary } = await run(config, join(folder, 'on-the-way-2'), { threads: [2, 1] });
  assert.equal(summary.weightsSha256, whole.summary.weightsSha256);
});

test('policy stop ends the run with the numbers, policy skip with steps that it could not take', async () => {
  const stopped = join(folder, 'stopped');
  await assert.rejects(
    run(tooFast({ steering: { policy: 'stop' } }), stopped, { threads: [1] }),
    /^RunError: The loss of step 4 is 52\.\d+, above 3\.07.*steering\.policy is stop: the run has diverged/,
  );
  assert.equal(events(stopped, 'diverged').length, 1);
  const skipped = join(folder, 'skipped');
  await assert.rejects(
    run(tooFast({ steering: { policy: 'skip' } }), skipped, { threads: [1] }),
    /5 steps in a row had to be skipped: the run has diverged/,
  );
  assert.deepEqual(
    events(skipped, 'skipped').map(({ step }) => step),
    [2, 3, 4, 5],
  );
});

for (const [what, evalEvery, said] of [
  [
    'evaluation',
    3,
    /^RunError: The evaluation at step 3 is not finite and was not saved: the run has diverged/,
  ],
  [
    'last step',
    0,
    /^RunError: The last step at step 3 is not finite and was not saved: the run has diverged/,
  ],
] as const) {
  test(`a run whose ${what} is not finite is not done, however few its steps`, async () => {
    const config = tinyConfig(folder, {
      optimizer: { lr: 1e30 },
      schedule: { name: 'constant', warmup: 0 },
      run: { steps: 3, seed: 7, evalEvery, checkpointEvery: 0, reproducible: true },
    });
    const out = join(folder, `not-finite-${evalEvery}`);
    await assert.rejects(run(config, out, { threads: [1] }), said);
    assert.ok(!existsSync(join(out, 'checkpoints')));
  });
}
