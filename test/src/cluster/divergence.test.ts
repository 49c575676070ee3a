import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { run, temporaryFolder, tinyConfig } from './cluster.js';

const folder = temporaryFolder(after);

test('a run that has diverged ends with what to do, and saves nothing of it', async () => {
  const config = tinyConfig(folder, {
    optimizer: { lr: 1e30 },
    schedule: { name: 'constant', warmup: 0 },
    run: { steps: 30, seed: 7, evalEvery: 0, checkpointEvery: 0, reproducible: true },
  });
  const out = join(folder, 'diverged');
  const skipped: string[] = [];
  await assert.rejects(
    run(config, out, {
      threads: [1],
      during(event) {
        if (event.kind === 'warning') skipped.push(event.text);
      },
    }),
    /not finite in 5 steps in a row: the run has diverged; lower optimizer\.lr/,
  );
  assert.equal(skipped.filter((text) => /was skipped/.test(text)).length, 5);
  assert.ok(!existsSync(join(out, 'checkpoints')));
});
