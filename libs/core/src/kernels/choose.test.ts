import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createKernels } from './choose.js';

test('a backend that is asked for by name is the one that comes', async () => {
  const { kernels, reason } = await createKernels('cpu', { maximumBytes: 2 ** 24 });
  assert.equal(kernels.info.backend, 'cpu');
  assert.match(reason, /^asked for$/);
  assert.throws(() => kernels.zeros([2 ** 23]), /may use 17 MB/, 'with its options');
});

test('auto takes a backend that computes, and says why', async () => {
  const { kernels, reason } = await createKernels('auto');
  const x = kernels.tensor(Float32Array.of(1, 2), [1, 2]);
  const out = kernels.linear(x, kernels.tensor(Float32Array.of(3, 4), [2, 1]), null, 'inOut');
  assert.deepEqual([...(await kernels.read(out))], [11]);
  assert.match(reason, /no GPU answers|a linear layer takes|the GPU failed/);
  await kernels.dispose();
});

test('auto keeps to a reproducible backend where the run has to be', async () => {
  const { kernels } = await createKernels('auto', { reproducible: true });
  assert.ok(kernels.info.reproducible);
});
