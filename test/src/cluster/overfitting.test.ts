import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { readJournal } from '@manyhands/core/checkpoint';
import { randomStream } from '@manyhands/core/numeric';
import { run, temporaryFolder, tinyConfig } from './cluster.js';

const folder = temporaryFolder(after);

test('a model that learns letters by heart is said to overfit, once, since the step of its best validation loss', async () => {
  const config = tinyConfig(folder, {
    model: { layers: 2, heads: 2, channels: 64, context: 32, dropout: 0 },
    data: { validation: 0.5 },
    optimizer: { lr: 0.003 },
    schedule: { name: 'constant' },
    run: { steps: 160, seed: 7, evalEvery: 20, checkpointEvery: 0, reproducible: true },
  });
  // Letters by the roll of a die: nothing of them can be foreseen, but so few can be remembered.
  const random = randomStream(7, 0);
  const letters = Array.from({ length: 2000 }, () => 'abcdefghijklmnop'[random.below(16)]);
  writeFileSync(config.data.sources[0].path, letters.join(''));
  const { summary, events } = await run(config, join(folder, 'run'), { threads: [2] });
  const told = readJournal(join(summary.out, 'events.jsonl')).filter(({ event }) => event === 'overfitting');
  assert.equal(told.length, 1);
  const evaluations = readJournal(join(summary.out, 'metrics.jsonl')).filter(({ kind }) => kind === 'eval');
  const best = evaluations.reduce((a, b) => (Number(b.validationLoss) < Number(a.validationLoss) ? b : a));
  assert.match(
    String(told[0].reason),
    new RegExp(`^the model overfits since step ${best.step}: .*more data, model.dropout, .* may help$`),
  );
  assert.ok(events.some((event) => event.kind === 'warning' && event.text === told[0].reason));
  const { loss, error } = Object(evaluations.at(-1)?.gap);
  assert.ok(loss > 0.3 && error > 0 && error < 0.2, `${loss} ± ${error}`);
});
