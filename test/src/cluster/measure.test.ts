import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, mock, test } from 'node:test';
import { readJournal } from '@manyhands/core/checkpoint';
import { NgramModel } from '@manyhands/core/learning';
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

test('run.measure false computes nothing of it either: no token is counted, no slope is sorted', async (context) => {
  const learned = mock.method(NgramModel.prototype, 'learn');
  const sorted = mock.method(Float64Array.prototype, 'sort');
  context.after(() => mock.restoreAll());
  const work = async (measure: boolean) => {
    const config = tinyConfig(folder, {
      run: { steps: 16, seed: 7, evalEvery: 2, checkpointEvery: 0, reproducible: true, measure },
      steering: { window: 8 },
    });
    learned.mock.resetCalls();
    sorted.mock.resetCalls();
    await run(config, join(folder, `work-${measure}`), { threads: [1] });
    const longest = Math.max(...sorted.mock.calls.map(({ this: list }) => Number(Object(list).length)));
    return { counted: learned.mock.callCount(), longest };
  };
  const on = await work(true);
  // Ten steps since five evaluations ago, and the slope between each two of them.
  assert.ok(on.counted > 0 && on.longest === (10 * 9) / 2, JSON.stringify(on));
  // Steering's median of the window: it looks at every step, whether the run is measured or not.
  assert.deepEqual(await work(false), { counted: 0, longest: 8 });
});
