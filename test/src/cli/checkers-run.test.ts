import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { featureNames } from '@manyhands/checkers';
import { parseConfig, readYaml } from '@manyhands/core/config';
import { manyhands, temporaryFolder } from './command-line.js';

const config = `
task: {name: checkers, evaluation: samuel, depth: 1, maxMoves: 40}
batch: {sequences: 4}
run: {steps: 2, evalEvery: 0}
`;

const folder = temporaryFolder({ after });
writeFileSync(path.join(folder, 'samuel.yaml'), config);

const train = (...args: string[]) =>
  manyhands(['train', '--config', 'samuel.yaml', '--threads', '1', ...args], { cwd: folder });

test('a run of checkers is trained, told in positions and looked into; what reads tokens refuses it', async () => {
  const trained = await train('--out', 'run');
  assert.equal(trained.status, 0, trained.stderr);
  assert.match(trained.stdout, /done: step 2 of 2 in .*, [\d,]+ positions\n/);
  assert.match(trained.stdout, /next: npx manyhands inspect run\n/);
  assert.doesNotMatch(trained.stderr, /tokens/);

  const said = await manyhands(['inspect', 'run'], { cwd: folder });
  for (const name of featureNames) assert.match(said.stdout, new RegExp(`^  ${name} +[+−]\\d`, 'm'));
  const { learned, parameters } = JSON.parse(
    (await manyhands(['inspect', 'run', '--json'], { cwd: folder })).stdout,
  );
  assert.equal(parameters, featureNames.length);
  assert.deepEqual(
    learned.map(({ name }: { name: string }) => name),
    featureNames,
  );

  for (const command of [
    ['generate'],
    ['eval', '--data', 'samuel.yaml'],
    ['explain', '--prompt', 'a', '--answer', 'b'],
  ]) {
    const refused = await manyhands([...command, '--model', 'run'], { cwd: folder });
    assert.equal(refused.status, 2);
    assert.match(
      refused.stderr,
      /^manyhands: \S+step-000002 values positions of a game and knows no tokens: give .*\.\n$/,
    );
  }

  const other = await train('--out', 'run', '--resume', '--steps', '3', '--set', 'task.lambda=0.5');
  assert.equal(other.status, 2);
  assert.match(other.stderr, /task\.lambda is 0\.5, but the run in run was started with 0\.8/);
});

test('a dry run of checkers says what the run will cost', async () => {
  const { status, stdout, stderr } = await train('--dry-run');
  assert.equal(status, 0, stderr);
  assert.match(stdout, /batch {4}[\d,]+ positions a step in 4 micro-batches\n/);
});

test('refused: a key of the game in a run of language', async () => {
  const { status, stderr } = await manyhands(['train', '--set', 'task.depth=4'], { cwd: folder });
  assert.equal(status, 2);
  assert.match(
    stderr,
    /task\.depth is 4, but must be left out where task\.name is language, which has no use/,
  );
});

test('the examples are runs of checkers that come to one hash on every processor', () => {
  for (const evaluation of ['samuel', 'network']) {
    const file = fileURLToPath(new URL(`../../../examples/checkers/${evaluation}.yaml`, import.meta.url));
    const { task, run } = parseConfig(readYaml(file));
    assert.deepEqual([task.name, task.evaluation, run.reproducible], ['checkers', evaluation, true]);
  }
});
