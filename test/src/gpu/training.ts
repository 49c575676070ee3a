import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createGpuKernels, createReferenceKernels, type Kernels } from '@manyhands/core/kernels';
import { createModel, initialWeights, type ModelConfig } from '@manyhands/core/model';
import { Learner, type MicroBatch } from '@manyhands/core/train';
import { run, temporaryFolder, tinyConfig } from '../cluster/cluster.js';
import { countCommands } from './commands.js';

// No test file by its name: webgpu.test.ts runs it in a process of its own, which finds the software GPU.

const config: ModelConfig = {
  arch: 'llama',
  layers: 1,
  heads: 2,
  kvHeads: 1,
  channels: 8,
  hidden: 12,
  context: 6,
  vocab: 13,
  dropout: 0.2,
  tieEmbeddings: true,
  activation: 'silu',
  epsilon: 1e-5,
  ropeTheta: 10_000,
};
const model = createModel(config);
const weights = initialWeights(model, 5);

function microBatch(index: number): MicroBatch {
  const tokens = Array.from({ length: 13 }, (_, i) => (i * i + 3 * index) % config.vocab);
  return {
    index,
    batch: 2,
    time: 6,
    inputs: Int32Array.from(tokens.slice(0, 12)),
    targets: Int32Array.from(tokens.slice(1), (token, i) => (i === 4 ? -1 : token)),
  };
}

function learner(kernels: Kernels): Learner {
  const made = Learner.create(kernels, model);
  made.setWeights(weights);
  return made;
}

test('a micro-batch on a GPU reads back its losses and its gradients, nothing between its kernels', async () => {
  const kernels = await createGpuKernels({ mode: 'webgpu' });
  const learning = learner(kernels);
  const into = new Float32Array(model.size);
  await learning.gradients(microBatch(0), { seed: 1, step: 1 }, into);
  const counts = await countCommands();
  await learning.gradients(microBatch(1), { seed: 1, step: 1 }, into);
  assert.equal(counts.readBacks, model.parameters.length + 1, 'a gradient of each parameter, and the losses');
  assert.equal(counts.submissions, 1);
  const [indices, keys] = [2 * 12, 6 * 10];
  assert.equal(
    counts.written,
    4 * (indices + keys),
    "tokens, and where each of dropout's masks stands: no weights",
  );
  await kernels.dispose();
});

test('a node of several micro-batches is summed on the GPU, and its gradient is that of the definition', async () => {
  const gpu = await createGpuKernels({ mode: 'webgpu' });
  const place = { seed: 3, step: 2 };
  const micros = [0, 1, 2, 3, 4].map(microBatch);
  const [sum, expected] = [new Float32Array(model.size), new Float32Array(model.size)];
  const finals: number[] = [];
  const result = await learner(gpu).sum(micros, place, sum, (from) => finals.push(from));
  const definition = await learner(createReferenceKernels()).sum(micros, place, expected);
  assert.deepEqual(result.targets, definition.targets);
  for (const [i, loss] of definition.sums.entries()) assert.ok(Math.abs(result.sums[i] - loss) < 1e-4);
  const largest = Math.max(...expected.map(Math.abs));
  for (const [i, value] of expected.entries()) {
    assert.ok(Math.abs(sum[i] - value) < 1e-5 * largest, `gradient ${i}: ${sum[i]} instead of ${value}`);
  }
  assert.equal(finals.at(-1), 0);
  assert.deepEqual(
    finals,
    [...finals].sort((a, b) => b - a),
  );
  await gpu.dispose();
});

test('a worker on a GPU and a worker on the processor train one model together', async () => {
  const folder = temporaryFolder(after);
  const settings = {
    model: { layers: 1, heads: 2, channels: 8, context: 8, dropout: 0.1 },
    run: { steps: 3, seed: 7, evalEvery: 0, reproducible: false },
  };
  const alone = tinyConfig(folder, { ...settings, cluster: { minWorkers: 1 } });
  const together = { ...alone, cluster: { ...alone.cluster, minWorkers: 2 } };
  const processor = await run(alone, join(folder, 'processor'), { threads: [1] });
  const both = await run(together, join(folder, 'both'), {
    threads: [1],
    during(event, stage) {
      if (event.kind === 'status' && /^listening/.test(event.text)) stage.join(1, { backend: 'gpujs' });
    },
  });
  const joined = both.events.flatMap((event) => (event.kind === 'worker' ? event.text : []));
  assert.ok(
    joined.some((text) => /gpujs \(webgpu/.test(text)),
    joined.join('; '),
  );
  const losses = ({ events }: typeof both) => events.flatMap((it) => (it.kind === 'step' ? it.loss : []));
  // The same batches and the same mathematics; only rounding differs.
  for (const [step, loss] of losses(processor).entries()) {
    assert.ok(Math.abs(losses(both)[step] - loss) < 1e-4, `step ${step + 1}: ${losses(both)[step]}, ${loss}`);
  }
});
