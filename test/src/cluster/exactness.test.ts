import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { learning } from '../learning.js';
import { run, temporaryFolder, tinyConfig } from './cluster.js';

/*
 * The promise: the batch, not the cluster, decides the result. Every case must end with the weights, and with the
 * losses, of one worker with one thread, bit for bit.
 */

const folder = temporaryFolder(after);
const config = tinyConfig(folder);
const calm = await run(config, join(folder, 'calm'), { threads: [1] });
const { weightsSha256 } = calm.summary;

function lines(out: string): Record<string, unknown>[] {
  return readFileSync(join(out, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

function assertSame(outcome: { summary: { weightsSha256: string; out: string } }): void {
  assert.equal(outcome.summary.weightsSha256, weightsSha256);
  assert.deepEqual(learning(outcome.summary.out), learning(calm.summary.out));
}

test('the calm run learns', () => {
  const evaluations = learning(calm.summary.out).filter((line) => line.kind === 'eval');
  assert.deepEqual(
    evaluations.map(({ step }) => step),
    [0, 4, 8],
  );
  assert.ok(Number(evaluations[2].validationLoss) < Number(evaluations[0].validationLoss) - 0.05);
});

test('another seed gives other weights', async () => {
  const other = tinyConfig(folder, { run: { steps: 8, seed: 8, reproducible: true } });
  const outcome = await run(other, join(folder, 'seed'), { threads: [1] });
  assert.notEqual(outcome.summary.weightsSha256, weightsSha256);
});

test('four threads', async () => {
  assertSame(await run(config, join(folder, 'threads'), { threads: [4] }));
});

test('three workers of different sizes', async () => {
  assertSame(await run(config, join(folder, 'workers'), { threads: [1, 2, 1] }));
});

test('workers that share memory with the coordinator, beside one that does not', async () => {
  assertSame(await run(config, join(folder, 'sharing'), { threads: [1, 2, 1], sharing: 2 }));
});

test('a worker that comes back to its place in shared memory', async () => {
  let first: { leave(): void } | null = null;
  const outcome = await run(config, join(folder, 'again'), {
    threads: [],
    sharing: 1,
    during(event, stage) {
      if (event.kind === 'status' && /^listening/.test(event.text)) first = stage.join(1, { place: 1 });
      if (event.kind !== 'step' || event.step !== 3) return;
      first?.leave();
      stage.join(1, { place: 1 });
    },
  });
  assertSame(outcome);
});

test('a worker that has the token shards is sent positions instead of tokens', async () => {
  const out = join(folder, 'shards');
  const outcome = await run(config, out, {
    threads: [],
    during(event, stage) {
      // The data are ready before the coordinator listens.
      if (event.kind === 'status' && /^listening/.test(event.text))
        stage.join(1, { shards: join(out, 'data') });
    },
  });
  assertSame(outcome);
  const bytesSent = (run: string) => Number(lines(run).find(({ step }) => step === 2)?.bytesSent);
  const tokens = 8 * 33 * 4; // sequences × (context + 1) × int32
  assert.equal(bytesSent(calm.summary.out) - bytesSent(out), tokens);
});

test('a worker joins half-way and another leaves', async () => {
  let first: { leave(): void } | null = null;
  const outcome = await run(config, join(folder, 'elastic'), {
    threads: [],
    during(event, stage) {
      if (event.kind === 'status' && first === null) first = stage.join(1);
      if (event.kind !== 'step') return;
      if (event.step === 3) stage.join(2);
      if (event.step === 5) first?.leave();
    },
  });
  assert.ok(
    outcome.events.some((event) => event.kind === 'worker' && /left: leaving as asked/.test(event.text)),
    'a farewell is heard as one',
  );
  assertSame(outcome);
});

test('a worker is killed in the middle of a step', async () => {
  const two = tinyConfig(folder, { cluster: { minWorkers: 2, heartbeatSeconds: 0.2, lostAfterSeconds: 5 } });
  let victim: { kill(signal: 'SIGKILL'): boolean } | null = null;
  const outcome = await run(two, join(folder, 'killed'), {
    threads: [1],
    during(event, stage) {
      if (victim === null) victim = stage.fork(1);
      // The next step is handed out before the loss is noticed: the victim holds half of it.
      if (event.kind === 'step' && event.step === 2) {
        victim.kill('SIGKILL');
        stage.join(1);
      }
    },
  });
  assert.ok(
    outcome.events.some(
      (event) => event.kind === 'worker' && /^outside.*(reassigned|overtaken)/.test(event.text),
    ),
    'the victim held work when it died',
  );
  assertSame(outcome);
});

test('a worker that hangs in the middle of a step is overtaken before it is lost, and works again when it goes on', async () => {
  const two = tinyConfig(folder, {
    run: { steps: 8, seed: 7, evalEvery: 4, checkpointEvery: 4, reproducible: true },
    cluster: { minWorkers: 2, heartbeatSeconds: 0.2, lostAfterSeconds: 60 },
  });
  let hanging: { kill(signal: 'SIGSTOP' | 'SIGCONT'): boolean } | null = null;
  const outcome = await run(two, join(folder, 'hung'), {
    threads: [1],
    during(event, stage) {
      if (hanging === null) hanging = stage.fork(1);
      if (event.kind === 'step' && event.step === 3) hanging.kill('SIGSTOP');
      if (event.kind === 'step' && event.step === 6) hanging.kill('SIGCONT');
    },
  });
  assert.ok(!outcome.events.some((event) => event.kind === 'worker' && /lost|reassigned/.test(event.text)));
  assertSame(outcome);
});

test('interrupted after any step and resumed with another crew', async () => {
  for (const at of [1, 4, 6]) {
    const out = join(folder, `resumed-${at}`);
    const interrupted = await run(config, out, {
      threads: [2],
      during(event, stage) {
        if (event.kind === 'step' && event.step === at) stage.stop();
      },
    });
    assert.equal(interrupted.summary.interrupted, true);
    assert.ok(interrupted.summary.step < 8);
    assertSame(await run(config, out, { threads: [1, 1] }, true));
  }
});
