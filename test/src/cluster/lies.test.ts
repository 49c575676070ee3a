import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { run, temporaryFolder, tinyConfig } from './cluster.js';

/*
 * A worker whose sums are not what it should have computed, in a process of its own.
 */

const folder = temporaryFolder(after);

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
  const { summary } = await run(config, join(folder, 'nan'), {
    threads: [1],
    during(event, stage) {
      if (event.kind !== 'status' || liar) return;
      liar = true;
      stage.fork(1, { what: 'nan', from: 2 });
    },
  });
  const told = events(summary.out).filter(({ event }) => event === 'suspicious');
  assert.ok(told.length > 0);
  for (const { worker, step, reason } of told) {
    assert.match(worker ?? '', /^outside-\d+$/);
    assert.equal(step, 2);
    assert.match(reason, /^sent a gradient that is not finite, for micro-batch(es)? .* of step 3$/);
  }
});
