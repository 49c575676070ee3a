import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, rmSync, watch } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startCoordinator } from '@manyhands/coordinator';
import { newestCheckpoint } from '@manyhands/core/checkpoint';
import { CHUNK_BYTES } from '@manyhands/proto';
import { run, temporaryFolder, tinyConfig } from './cluster.js';
import { cutLine } from './lines.js';

/* Losses at the worst moments: in the middle of a sum's way to the coordinator, in the middle of a checkpoint. */

const folder = temporaryFolder(after);
/** 230,000 weights, 4 pieces of a message each. */
const large = { layers: 2, heads: 2, channels: 96, context: 16, dropout: 0.1 };

test('a worker that is lost half-way through its sum does no harm, and its work is done by others', async () => {
  const config = tinyConfig(folder, {
    model: large,
    run: { steps: 3, seed: 7, evalEvery: 0, reproducible: true },
  });
  const calm = await run(config, join(folder, 'calm'), { threads: [1] });
  const two = { ...config, cluster: { ...config.cluster, minWorkers: 2, lostAfterSeconds: 2 } };
  let line: Awaited<ReturnType<typeof cutLine>> | null = null;
  let cut: { leave(): void } | null = null;
  const outcome = await run(two, join(folder, 'cut'), {
    threads: [],
    during(event, stage) {
      // Idle hands do its work before it counts as lost; the run may be over by then, and nobody would answer it.
      if (cut !== null && event.kind === 'worker' && /overtaken|lost/.test(event.text)) {
        cut.leave();
        cut = null;
        stage.join(1);
      }
      if (event.kind !== 'status' || !/^listening/.test(event.text)) return;
      stage.join(1);
      void cutLine(stage.joinUrl, 2.5 * CHUNK_BYTES).then((made) => {
        line = made;
        cut = stage.join(1, { joinUrl: made.joinUrl });
      });
    },
  }).finally(() => line?.close());
  const told = outcome.events.flatMap((event) => (event.kind === 'worker' ? event.text : []));
  assert.ok(
    told.some((text) => /^inside-\d (lost: nothing heard|overtaken: )/.test(text)),
    `a worker's half sum was noticed: ${told.join('; ')}`,
  );
  assert.equal(outcome.summary.weightsSha256, calm.summary.weightsSha256);
});

test('killed while a checkpoint is written, a run goes on from the one before it to the same weights', async () => {
  const config = tinyConfig(folder, {
    model: large,
    run: { steps: 6, seed: 7, evalEvery: 0, checkpointEvery: 2, reproducible: true },
  });
  const calm = await run(config, join(folder, 'whole'), { threads: [1] });
  const out = join(folder, 'killed');
  const checkpoints = join(out, 'checkpoints');
  mkdirSync(checkpoints, { recursive: true });
  const child = fork(fileURLToPath(new URL('./run-process.js', import.meta.url)), [out], {
    env: { ...process.env, MANYHANDS_CONFIG: JSON.stringify(config) },
    stdio: 'inherit',
  });
  const watcher = watch(checkpoints, () => {
    if (existsSync(join(checkpoints, '.partial-step-000004'))) child.kill('SIGKILL');
  });
  await once(child, 'exit');
  watcher.close();
  assert.equal(child.signalCode, 'SIGKILL');
  assert.ok(readdirSync(checkpoints).includes('.partial-step-000004'), 'the kill came in the middle');
  assert.equal(newestCheckpoint(out).checkpoint?.step, 2);
  const resumed = await run(config, out, { threads: [2] }, true);
  assert.equal(resumed.summary.weightsSha256, calm.summary.weightsSha256);
});

test('a coordinator whose run another one has taken over ends', async () => {
  const config = tinyConfig(folder);
  const out = join(folder, 'taken');
  const options = { config, out, listen: '127.0.0.1:0', report: () => {} };
  const first = await startCoordinator({ ...options, resume: false });
  // It may notice before the second one is there.
  const ended = assert.rejects(first.done, {
    name: 'RunError',
    message: /belongs to another coordinator now/,
  });
  rmSync(join(out, 'run.lock')); // as another machine does that has heard nothing of it for long
  const second = await startCoordinator({ ...options, resume: true });
  await ended;
  second.stop();
  assert.equal((await second.done).interrupted, true);
});

test('a coordinator that stood still itself takes nobody’s silence amiss', async () => {
  const config = tinyConfig(folder, {
    run: { steps: 4, seed: 7, evalEvery: 0, reproducible: true },
    cluster: { heartbeatSeconds: 0.2, lostAfterSeconds: 1 },
  });
  let stood = false;
  const { events } = await run(config, join(folder, 'stood'), {
    threads: [],
    during(event, stage) {
      if (event.kind === 'status' && /^listening/.test(event.text)) stage.fork(1);
      if (event.kind !== 'step' || stood) return;
      stood = true;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2500);
    },
  });
  assert.ok(stood);
  const told = events.flatMap((event) => (event.kind === 'worker' ? event.text : []));
  assert.deepEqual(
    told.filter((text) => /lost/.test(text)),
    [],
  );
});
