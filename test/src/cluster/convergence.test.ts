import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { bestStep, readJournal } from '@manyhands/core/checkpoint';
import { run, temporaryFolder, tinyConfig } from './cluster.js';

const folder = temporaryFolder(after);

/** What is learnt of this text is learnt soon: it is words in random order. */
const config = tinyConfig(folder, {
  model: { layers: 1, heads: 2, channels: 16, context: 16, dropout: 0 },
  optimizer: { lr: 0.02 },
  run: {
    steps: 2000,
    seed: 7,
    evalEvery: 10,
    checkpointEvery: 0,
    reproducible: true,
    stopWhenConverged: { patience: 3, minImprovement: 0.05, beforeDecay: true },
  },
});

const whole = await run(config, join(folder, 'whole'), { threads: [1] });

const evaluations = (out: string) =>
  readJournal(join(out, 'metrics.jsonl')).filter(({ kind }) => kind === 'eval');

test('a run that has converged ends, with the evidence and its best checkpoint', () => {
  const { summary } = whole;
  assert.ok(summary.step < 1000 && !summary.interrupted, `step ${summary.step}`);
  assert.match(summary.reason, /^converged: the training loss no longer falls/);
  const [line] = readJournal(join(summary.out, 'events.jsonl')).filter(({ event }) => event === 'converged');
  assert.equal(line.step, summary.step);
  assert.equal(line.reason, summary.reason);
  const last = evaluations(summary.out).at(-1);
  assert.deepEqual(line.trend, last?.trend);
  assert.deepEqual(line.baselines, last?.baselines);
  assert.ok(whole.events.some((event) => event.kind === 'status' && event.text.includes(summary.reason)));
  // The best by a hair may be later than the last that counts as an improvement.
  const best = evaluations(summary.out).reduce((a, b) =>
    Number(b.validationLoss) < Number(a.validationLoss) ? b : a,
  );
  assert.equal(bestStep(summary.out), best.step);
  assert.equal(summary.bestValidationLoss, best.validationLoss);
});

test('its baselines are in order: blind guessing, tokens, pairs', () => {
  const { uniform, unigram, bigram } = Object(evaluations(whole.summary.out)[0].baselines);
  assert.ok(Number(whole.summary.validationLoss) < unigram && bigram < unigram && unigram < uniform);
});

test('interrupted and resumed with other workers, it ends at the same step for the same reason', async () => {
  const out = join(folder, 'interrupted');
  await run(config, out, {
    threads: [1],
    during(event, stage) {
      if (event.kind === 'step' && event.step === whole.summary.step - 15) stage.stop();
    },
  });
  const { summary } = await run(config, out, { threads: [1, 1] }, true);
  assert.equal(summary.reason, whole.summary.reason);
  assert.equal(summary.weightsSha256, whole.summary.weightsSha256);
  const judged = (line: Record<string, unknown>) => [line.step, line.trend, line.baselines];
  assert.deepEqual(evaluations(out).map(judged), evaluations(whole.summary.out).map(judged));
});
