import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createModel, parseModelConfig, resolveModelConfig } from '@manyhands/core/model';
import { languageTask } from '@manyhands/tasks';
import { readAssignment } from './assignment.js';

const config = resolveModelConfig({
  arch: 'gpt2',
  layers: 1,
  heads: 1,
  kvHeads: 1,
  channels: 4,
  context: 8,
  vocab: 9,
  dropout: 0,
  tieEmbeddings: true,
});
const task = languageTask(createModel(config));

const assignment = (batch: number, tokens: Buffer) => ({
  id: 1,
  kind: 'TRAIN' as const,
  step: 0,
  range: { first: 3, count: 1 },
  microBatches: [{ batch, time: 2, tokens, windows: [] }],
});

test('tokens become a micro-batch of their number in the batch', () => {
  const tokens = Buffer.from(Int32Array.of(1, 2, 3, 4, 5, 6).buffer);
  const [micro] = readAssignment(assignment(2, tokens), task, null);
  assert.ok('inputs' in micro);
  assert.deepEqual([micro.index, micro.batch, micro.time], [3, 2, 2]);
  assert.deepEqual(micro.inputs, Int32Array.of(1, 2, 4, 5));
});

test('memory is taken for what has come, not for what was announced', () => {
  for (const batch of [2, 2 ** 28, 2 ** 32 - 1]) {
    assert.throws(
      () => readAssignment(assignment(batch, Buffer.alloc(4)), task, null),
      /^Error: 4 bytes of tokens came where \d+ were expected$/,
    );
  }
});

test('a model of more layers than anybody could compute is refused before its table is made', () => {
  assert.throws(() => parseModelConfig(JSON.stringify({ ...config, layers: 2 ** 24 })));
  assert.equal(parseModelConfig(JSON.stringify({ ...config, layers: 1000 })).layers, 1000);
});
