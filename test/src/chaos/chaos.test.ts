import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHECKPOINT_EVERY, chaos } from './chaos.js';

/* The short form of `npm run chaos`. A failure names its seed, which main.js takes, and where its logs are. */

const SECONDS = 35;
const FAULTS = 40;

test('runs of real processes under faults of every kind end with the weights and losses of a calm one', async (t) => {
  const seed = 1 + Math.floor(Math.random() * 1e6);
  const result = await chaos({
    seed,
    steps: 40,
    network: true,
    enough: (faults, seconds) => faults >= FAULTS || seconds >= SECONDS,
    log: (line) => t.diagnostic(line),
  });
  const faults = [...result.faults.values()].reduce((sum, count) => sum + count, 0);
  t.diagnostic(`${faults} faults in ${result.runs} runs from seed ${seed} on`);
  assert.ok(faults > 0, 'nothing was disturbed');
  assert.ok(
    result.recomputed < 2 * CHECKPOINT_EVERY,
    'no more is computed again than since the checkpoint before the last',
  );
  for (const what of result.missing) await t.test(what, { skip: true }, () => {});
});
