import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { randomStream } from '../../numeric/index.js';
import type { AttentionShape, Kernels } from '../kernels.js';
import { createCpuKernels } from './cpu-kernels.js';
import { nativeLibrary } from './native/onnxruntime.js';

const normal = (purpose: number, size: number) => {
  const stream = randomStream(3, purpose);
  return Float32Array.from({ length: size }, () => stream.nextNormal());
};

const shapes = fc
  .record({
    batch: fc.integer({ min: 1, max: 2 }),
    time: fc.integer({ min: 1, max: 50 }).map((quarter) => 4 * quarter),
    kvHeads: fc.integer({ min: 1, max: 2 }),
    group: fc.integer({ min: 1, max: 3 }),
    headDim: fc.integer({ min: 1, max: 20 }),
  })
  .map(({ group, ...rest }): AttentionShape => ({ ...rest, heads: group * rest.kvHeads }));

async function attend(kernels: Kernels, shape: AttentionShape) {
  const { batch, time, heads, kvHeads, headDim } = shape;
  const width = (heads + 2 * kvHeads) * headDim;
  const qkv = kernels.tensor(normal(1, batch * time * width), [batch * time, width]);
  const gradient = kernels.tensor(normal(2, batch * time * heads * headDim), [batch * time, heads * headDim]);
  const { out, logSumExp } = kernels.attention(qkv, shape);
  const slope = kernels.attentionBackward(gradient, qkv, out, logSumExp, shape);
  return Promise.all([out, logSumExp, slope].map((tensor) => kernels.read(tensor)));
}

describe('attention through native products', { skip: 'missing' in nativeLibrary() }, () => {
  test('is attention, forward and backward, with heads that share keys, in any number of blocks', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, async (shape) => {
        const { batch, time, heads, kvHeads, headDim } = shape;
        const choices = `attention ${batch}x${time}x${heads}x${kvHeads}x${headDim} native`;
        const expected = await attend(await createCpuKernels({ reproducible: true }), shape);
        for (const [i, values] of (await attend(await createCpuKernels({ choices }), shape)).entries()) {
          for (const [j, value] of values.entries()) {
            const right = expected[i][j];
            assert.ok(Math.abs(value - right) < 5e-5 * (1 + Math.abs(right)), `${value} instead of ${right}`);
          }
        }
      }),
      { numRuns: 25 },
    );
  });

  test('never looks ahead, not even by a bit', async () => {
    const shape = { batch: 1, time: 132, heads: 2, kvHeads: 1, headDim: 5 };
    const kernels = await createCpuKernels({ choices: 'attention 1x132x2x1x5 native' });
    const values = normal(1, 132 * 20);
    const out = async (data: Float32Array) =>
      kernels.read(kernels.attention(kernels.tensor(data, [132, 20]), shape).out);
    const before = await out(values);
    for (const time of [1, 63, 64, 65, 131]) {
      const changed = values.slice().fill(1000, time * 20);
      assert.deepEqual((await out(changed)).slice(0, time * 10), before.slice(0, time * 10));
    }
  });

  test('needs memory that grows with time, not with its square', async () => {
    const kernels = await createCpuKernels({
      choices: [256, 1024].map((t) => `attention 1x${t}x1x1x8 native`).join('\n'),
    });
    const bytes = (time: number) => {
      const qkv = kernels.zeros([time, 24]);
      return kernels.compile(() =>
        kernels.attention(qkv, { batch: 1, time, heads: 1, kvHeads: 1, headDim: 8 }),
      ).bytes;
    };
    assert.ok(bytes(1024) <= 4 * bytes(256));
  });
});
