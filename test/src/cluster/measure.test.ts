import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { readJournal } from '@manyhands/core/checkpoint';
import { run, temporaryFolder, tinyConfig } from './cluster.js';

const folder = temporaryFolder(after);

test('run.measure false leaves out what a run tells of its learning, and changes no weight', async () => {
  const steps = { steps: 8, seed: 7, evalEvery: 4, checkpointEvery: 0, reproducible: true };
  const told = async (measure: boolean) => {
    const config = tinyConfig(folder, { run: { ...steps, measure } });
    const { summary, events } = await run(config, join(folder, String(measure)), { threads: [1] });
    const keys = readJournal(join(summary.out, 'metrics.jsonl')).map((line) => Object.keys(line));
    const compared = events.some((event) => event.kind === 'status' && /^to compare with/.test(event.text));
    return { sha: summary.weightsSha256, loss: summary.validationLoss, keys: new Set(keys.flat()), compared };
  };
  const [on, off] = [await told(true), await told(false)];
  assert.deepEqual([off.sha, off.loss], [on.sha, on.loss]);
  const left = [...on.keys].filter((key) => !off.keys.has(key));
  assert.deepEqual(left.sort(), ['baselines', 'trend', 'updateRatio']);
  assert.deepEqual([on.compared, off.compared], [true, false]);
});
