import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { run, temporaryFolder, tinyConfig } from './cluster.js';

const folder = temporaryFolder(after);
const shape = { layers: 1, heads: 2, channels: 16, context: 8, dropout: 0.1 };

test('a worker on gpu.js and a worker on the processor train one model together', async () => {
  const config = tinyConfig(folder, {
    model: shape,
    run: { steps: 4, seed: 7, evalEvery: 0, reproducible: false },
    cluster: { minWorkers: 2 },
  });
  const alone = { ...config, cluster: { ...config.cluster, minWorkers: 1 } };
  const processor = await run(alone, join(folder, 'processor'), { threads: [1] });
  const both = await run(config, join(folder, 'both'), {
    threads: [1],
    during(event, stage) {
      if (event.kind === 'status' && /^listening/.test(event.text)) stage.join(1, { backend: 'gpujs' });
    },
  });
  assert.ok(both.events.some((event) => event.kind === 'worker' && /joined with gpujs/.test(event.text)));
  const losses = ({ events }: typeof both) =>
    events.flatMap((event) => (event.kind === 'step' ? event.loss : []));
  // The same batches and the same mathematics; only rounding differs.
  for (const [step, loss] of losses(processor).entries()) {
    assert.ok(
      Math.abs(losses(both)[step] - loss) < 1e-4,
      `step ${step + 1}: ${losses(both)[step]} and ${loss}`,
    );
  }
});

test('a reproducible run refuses a worker on gpu.js with a sentence', async () => {
  const config = tinyConfig(folder, { model: shape, run: { steps: 1, evalEvery: 0, reproducible: true } });
  await assert.rejects(
    run(config, join(folder, 'refused'), {
      threads: [],
      during(event, stage) {
        if (event.kind === 'status' && /^listening/.test(event.text)) {
          // Another one does the work, but not before: a run that is over turns nobody away.
          stage.join(1, { backend: 'gpujs' }).done.catch(() => stage.join(1));
        }
      },
    }),
    /a reproducible run needs the same bits on every processor, which gpujs does not give: use cpu/,
  );
});
