import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { randomStream } from '@manyhands/core/numeric';
import { sampleText } from '../cluster/cluster.js';
import { manyhands, temporaryFolder, tiny } from './command-line.js';

const folder = temporaryFolder({ after });
writeFileSync(path.join(folder, 'text.txt'), sampleText(20_000));

/** `train` of a tiny model on words in random order, with keys of the config. */
function train(out: string, keys: Readonly<Record<string, string | number>>, ...more: string[]) {
  const set = Object.entries({ 'data.sources': 'text.txt', ...keys }).flatMap(([key, value]) => [
    '--set',
    `${key}=${value}`,
  ]);
  const args = ['train', '--out', out, '--seed', '7', ...tiny, ...set, ...more];
  return manyhands(args, { cwd: folder });
}

async function inspect(dir: string) {
  const [words, json] = await Promise.all([
    manyhands(['inspect', dir], { cwd: folder }),
    manyhands(['inspect', dir, '--json'], { cwd: folder }),
  ]);
  return { words, json: json.status === 0 ? JSON.parse(json.stdout) : null };
}

test('a run that ended since it converged says so at its end, and inspect says it with the evidence', async () => {
  const trained = await train('converged', {
    'optimizer.lr': 0.02,
    'run.steps': 2000,
    'run.evalEvery': 10,
    'run.stopWhenConverged': '{patience: 3, minImprovement: 0.05, beforeDecay: true}',
  });
  assert.equal(trained.status, 0, trained.stderr);
  const [reason] = /^converged: the training loss no longer falls .*$/m.exec(trained.stdout) ?? assert.fail();
  assert.ok(trained.stderr.includes(reason), 'the screen says it too');
  const { words, json } = await inspect('converged');
  assert.ok(words.stdout.includes(`ended         ${reason}`));
  const { event, trend, baselines, bestStep, waited } = json.ended;
  assert.deepEqual([event, baselines, waited >= 3], ['converged', json.baselines, true]);
  assert.ok(trend.low <= trend.slope && trend.slope <= trend.high && bestStep <= json.ended.step);
});

const tooFast = { 'optimizer.lr': 1, 'schedule.name': 'constant', 'schedule.warmup': 0 };

test('a run that ended since it diverged tells inspect why, and no longer when it has gone on', async () => {
  const keys = { ...tooFast, 'steering.policy': 'stop', 'run.steps': 30, 'run.checkpointEvery': 1 };
  const trained = await train('diverged', keys);
  assert.equal(trained.status, 1, trained.stderr);
  const { words, json } = await inspect('diverged');
  const { event, step, signal, value, limit, inARow } = json.ended;
  assert.deepEqual([event, signal, inARow, step], ['diverged', 'loss', 3, json.step]);
  assert.ok(value > limit);
  assert.match(words.stdout, /^ended {9}the loss of step \d+ is .* ended, since steering\.policy is stop$/m);
  const slower = ['--resume', '--steps', String(step)];
  const again = await train(
    'diverged',
    { ...keys, 'optimizer.lr': 1e-4, 'schedule.minLr': 1e-5, 'steering.policy': 'warn' },
    ...slower,
  );
  assert.equal(again.status, 0, again.stderr);
  assert.equal((await inspect('diverged')).json.ended, null);
});

test('inspect of a run that ended before its first checkpoint says why', async () => {
  const keys = { ...tooFast, 'steering.policy': 'stop', 'run.steps': 30, 'run.checkpointEvery': 0 };
  assert.equal((await train('early', { ...keys, 'run.evalEvery': 0 })).status, 1);
  const { status, stderr } = await manyhands(['inspect', 'early'], { cwd: folder });
  assert.equal(status, 2);
  assert.match(
    stderr,
    /^manyhands: early is a run that ended without a checkpoint: the loss of step .* stop\.\n$/,
  );
});

test('a run that overfits says so in its summary, and inspect does', async () => {
  // Letters by the roll of a die: nothing of them can be foreseen, but so few can be remembered.
  const random = randomStream(7, 0);
  const letters = Array.from({ length: 2000 }, () => 'abcdefghijklmnop'[random.below(16)]);
  writeFileSync(path.join(folder, 'letters.txt'), letters.join(''));
  const set = {
    'data.sources': 'letters.txt',
    'model.layers': 2,
    'model.channels': 64,
    'data.validation': 0.5,
    'optimizer.lr': 0.003,
  };
  const keys = {
    ...set,
    'batch.sequences': 8,
    'schedule.name': 'constant',
    'run.steps': 240,
    'run.evalEvery': 20,
  };
  const trained = await train('letters', keys);
  assert.equal(trained.status, 0, trained.stderr);
  const [reason] = /^the model overfits since step \d+: .* may help$/m.exec(trained.stdout) ?? assert.fail();
  const { words, json } = await inspect('letters');
  assert.equal(json.overfitting, reason);
  assert.ok(words.stdout.includes(`overfitting   ${reason}`));
  assert.equal((await inspect('converged')).json.overfitting, null);
});
