import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createReferenceKernels } from '@manyhands/core/kernels';
import fc from 'fast-check';
import { attentionShares } from './attention.js';

test('the shares of every head, applied to its values, are what the attention kernel gives', async () => {
  const kernels = createReferenceKernels();
  const shapes = fc.record({
    time: fc.integer({ min: 1, max: 6 }),
    kvHeads: fc.integer({ min: 1, max: 2 }),
    group: fc.integer({ min: 1, max: 2 }),
    headDim: fc.integer({ min: 1, max: 4 }),
    values: fc.infiniteStream(fc.double({ min: -3, max: 3, noNaN: true })),
  });
  await fc.assert(
    fc.asyncProperty(shapes, async ({ time, kvHeads, group, headDim, values }) => {
      const heads = kvHeads * group;
      const width = (heads + 2 * kvHeads) * headDim;
      const qkv = Float64Array.from({ length: time * width }, () => values.next().value);
      const shape = { batch: 1, time, heads, kvHeads, headDim };
      const { out } = kernels.attention(kernels.tensor(qkv, [time, width]), shape);
      const expected = await kernels.read(out);
      attentionShares(qkv, shape).forEach((shares, head) => {
        assert.equal(shares.length, (time * (time + 1)) / 2);
        const value = (heads + kvHeads + Math.floor(head / group)) * headDim;
        for (let t = 0; t < time; t++) {
          const row = shares.subarray((t * (t + 1)) / 2, ((t + 1) * (t + 2)) / 2);
          for (let i = 0; i < headDim; i++) {
            const seen = row.reduce((sum, share, s) => sum + share * qkv[s * width + value + i], 0);
            assert.ok(Math.abs(seen - expected[(t * heads + head) * headDim + i]) < 1e-9);
          }
        }
      });
    }),
    { seed: 5, numRuns: 60 },
  );
});
