import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '../cluster/cluster.js';
import { measure } from './measure.js';

const folder = temporaryFolder(after);

test('a step moves the weights once to each worker and a sum back from each, and every worker is served', async () => {
  const workers = 20;
  const [microBatches, steps] = [40, 2];
  const result = await measure(
    { workers, microBatches, steps, preset: 'nano', pace: 0, megabits: null },
    join(folder, 'all'),
  );
  assert.deepEqual(result.crews, [workers, workers]);
  assert.ok(result.weightBytes > 3e6);
  // Two neighbours are one node of the tree, so one sum each, and a second one where a worker was late.
  const [{ received }] = result.bytes;
  const sums = received / (workers * result.weightBytes);
  assert.ok(sums >= 1 && sums <= 2, `${received} bytes came in the first step`);
  const sent = result.bytes.reduce((sum, step) => sum + step.sent, 0);
  // All tokens together are less than one version of the weights.
  const versions = Math.floor(sent / result.weightBytes);
  assert.equal(versions, steps * workers, 'one version for each step, none after the last');
  assert.ok(Math.min(...result.served) >= steps, `least served: ${Math.min(...result.served)}`);
  assert.ok(result.secondsPerStep > 0 && result.cpuSecondsPerStep > 0 && result.peakBytes > 3e7);
});

test('workers that have nothing to compute take turns, since each one more is only more to send', async () => {
  const [workers, microBatches, steps] = [6, 12, 60];
  const result = await measure(
    { workers, microBatches, steps, preset: 'nano', pace: 0, megabits: null },
    join(folder, 'turns'),
  );
  const late = result.crews.slice(steps / 2);
  assert.ok(late.filter((crew) => crew <= 2).length > late.length / 2, `${result.crews}`);
  const turns = (steps / 2) * (microBatches / workers);
  assert.ok(Math.min(...result.served) > turns / 4, `${result.served}`);
});

for (const [args, reason] of [
  [['--workers', '10,x'], /^--workers is "x", but must be a whole number from 1 to 1000$/m],
  [['--steps', '1'], /^--steps is "1", but must be/m],
  [['--preset', 'huge'], /^--preset is "huge", but must be nano or small$/m],
] as const) {
  test(`${args.join(' ')} is refused in one sentence`, () => {
    const program = fileURLToPath(new URL('./main.js', import.meta.url));
    const { status, stderr } = spawnSync(process.execPath, [program, ...args], { encoding: 'utf8' });
    assert.equal(status, 2);
    assert.match(stderr, reason);
    assert.equal(stderr.trim().split('\n').length, 1);
  });
}
