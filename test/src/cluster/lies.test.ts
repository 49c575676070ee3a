import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type Lie, run, temporaryFolder, tinyConfig } from './cluster.js';

/*
 * A worker whose sums are not what it should have computed, in a process of its own.
 */

const folder = temporaryFolder(after);
const calm = (await run(tinyConfig(folder), join(folder, 'calm'), { threads: [1] })).summary.weightsSha256;

interface Line {
  readonly event: string;
  readonly step: number;
  readonly worker?: string;
  readonly reason: string;
}

function events(out: string): Line[] {
  return readFileSync(join(out, 'events.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

test('a sum that is not finite is written down, with the worker that sent it', async () => {
  const steps = { steps: 3, seed: 7, evalEvery: 0, checkpointEvery: 0, reproducible: true };
  const config = tinyConfig(folder, { run: steps, cluster: { minWorkers: 2 } });
  let liar = false;
  const out = join(folder, 'nan');
  const over = run(config, out, {
    threads: [1],
    during(event, stage) {
      if (event.kind !== 'status' || liar) return;
      liar = true;
      stage.fork(1, { what: 'nan', from: 2 });
    },
  });
  await assert.rejects(over, /The last step at step 3 is not finite/);
  const told = events(out).filter(({ event }) => event === 'suspicious');
  assert.ok(told.length > 0);
  for (const { worker, step, reason } of told) {
    assert.match(worker ?? '', /^outside-\d+$/);
    assert.equal(step, 2);
    assert.match(reason, /^sent a gradient that is not finite, for micro-batch(es)? .* of step 3$/);
  }
});

const checkedAt = (verify: number) =>
  tinyConfig(folder, { cluster: { verify, minWorkers: 2, lostAfterSeconds: 5, heartbeatSeconds: 0.2 } });

/** A run with two honest workers and one that lies, which is there first. */
function withLiar(name: string, verify: number, lie: Lie) {
  let forked = false;
  let joined = false;
  return run(checkedAt(verify), join(folder, name), {
    threads: [],
    during(event, stage) {
      if (event.kind === 'status' && !forked) {
        forked = true;
        stage.fork(1, lie);
      }
      if (event.kind === 'worker' && !joined) {
        joined = true;
        stage.join(1);
        stage.join(1);
      }
    },
  });
}

for (const [name, verify, lie] of [
  ['one bit of a gradient, with every range checked', 1, { what: 'bit', from: 0 }],
  ['one bit from the third step on, with every range checked', 1, { what: 'bit', from: 2 }],
  ['no numbers, with next to no range checked', 1e-9, { what: 'nan', from: 2 }],
] as const) {
  test(`a liar is quarantined and the weights are those of the calm run: ${name}`, async () => {
    const { summary } = await withLiar(`${lie.what}-${lie.from}-${verify}`, verify, lie);
    assert.equal(summary.weightsSha256, calm);
    const told = events(summary.out).filter(({ event }) => event === 'quarantined');
    assert.equal(told.length, 1, JSON.stringify(told));
    assert.match(told[0].worker ?? '', /^outside-\d+$/);
    assert.match(
      told[0].reason,
      /^its sum for micro-batch(es)? .* of step \d \((sha256 [0-9a-f]{64}|not finite)\) is not that of inside-\d and inside-\d \(sha256 [0-9a-f]{64}\)$/,
    );
  });
}

test('honest workers of a checked run are believed, and each range is computed twice', async () => {
  const { summary } = await run(checkedAt(1), join(folder, 'honest'), { threads: [1, 2] });
  assert.equal(summary.weightsSha256, calm);
  const names = events(summary.out).map(({ event }) => event);
  for (const name of ['quarantined', 'disputed', 'suspicious', 'unverified'])
    assert.ok(!names.includes(name));
});
