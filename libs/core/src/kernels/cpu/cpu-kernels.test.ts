import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { randomStream, sha256 } from '../../numeric/index.js';
import { conformance } from '../conformance.js';
import type { ActivationKind, Kernels, Shape, Tensor, WeightLayout } from '../kernels.js';
import { createReferenceKernels } from '../reference/reference-kernels.js';
import { createCpuKernels } from './cpu-kernels.js';

conformance('cpu', () => createCpuKernels({ reproducible: true }), 1e-5);
conformance('cpu with native products', () => createCpuKernels(), 1e-5);

describe('the cpu backend', () => {
  const reference = createReferenceKernels();
  const normal = (purpose: number, size: number) => {
    const stream = randomStream(1, purpose);
    return Float32Array.from({ length: size }, () => stream.nextNormal());
  };

  test('multiplies matrices of any sizes, forward and backward, in both layouts', async () => {
    const kernels = await createCpuKernels();
    const size = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 380, max: 400 }));
    const small = fc.integer({ min: 1, max: 70 });
    const sizes = fc
      .tuple(small, size, small)
      .chain((triple) => fc.shuffledSubarray(triple, { minLength: 3 }));
    const layouts = fc.constantFrom<WeightLayout>('inOut', 'outIn');
    await fc.assert(
      fc.asyncProperty(sizes, layouts, async ([n, k, m], layout) => {
        const results = async (backend: Kernels) => {
          const mark = backend.mark();
          const shape = layout === 'inOut' ? [k, m] : [m, k];
          const [x, weight] = [
            backend.tensor(normal(1, n * k), [n, k]),
            backend.tensor(normal(2, k * m), shape),
          ];
          const gradient = backend.tensor(normal(3, n * m), [n, m]);
          const out = backend.linear(x, weight, null, layout);
          const back = backend.linearBackward(gradient, x, weight, false, layout);
          const values = await Promise.all([out, back.x, back.weight].map((tensor) => backend.read(tensor)));
          backend.release(mark);
          return values;
        };
        const expected = await results(reference);
        for (const [i, values] of (await results(kernels)).entries()) {
          for (let j = 0; j < values.length; j++) {
            // Sums of up to 400 products of size 1, each rounded to 24 bits.
            assert.ok(
              Math.abs(values[j] - expected[i][j]) < 1e-4,
              `${values[j]} instead of ${expected[i][j]}`,
            );
          }
        }
      }),
      { numRuns: 30 },
    );
  });

  test("its exponential and what is made of it are exact to float32's last digits, far from 0 as well", async () => {
    const kernels = await createCpuKernels();
    const x = Float32Array.from({ length: 4001 }, (_, i) => (i - 2000) / 25);
    for (const kind of ['silu', 'gelu_new', 'gelu'] satisfies ActivationKind[]) {
      const values = await kernels.read(kernels.activation(kernels.tensor(x, [x.length]), kind));
      const expected = await reference.read(reference.activation(reference.tensor(x, [x.length]), kind));
      for (let i = 0; i < x.length; i++) {
        // Near 0 the reference itself, (1 + tanh)/2, has few digits.
        if (Math.abs(expected[i]) < 1e-8) continue;
        const error = Math.abs(values[i] / expected[i] - 1);
        // e^z carries z's own rounding: 2⁻²⁴ of |z|, which is x² and more for GELU.
        const bound =
          kind === 'silu' ? 1e-6 + 1e-8 * Math.abs(x[i]) : 1e-6 + 2e-7 * (x[i] ** 2 + Math.abs(x[i]) ** 3);
        assert.ok(error < bound, `${kind}(${x[i]}) = ${values[i]} instead of ${expected[i]}`);
      }
    }
  });

  test('what is not finite stays so, for the step to be skipped', async () => {
    const kernels = await createCpuKernels();
    const spoilt = (size: number, value: number) => normal(1, size).fill(value, 3, 4);
    const hasNaN = async (tensor: Tensor) => (await kernels.read(tensor)).some(Number.isNaN);
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const logits = kernels.tensor(spoilt(14, value), [2, 7]);
      const targets = kernels.indices(Int32Array.of(0, 1));
      assert.ok(await hasNaN(kernels.crossEntropy(logits, targets).losses));
      const qkv = kernels.tensor(spoilt(24, value), [2, 12]);
      const shape = { batch: 1, time: 2, heads: 1, kvHeads: 1, headDim: 4 };
      assert.ok(await hasNaN(kernels.attention(qkv, shape).out));
    }
    for (const kind of ['silu', 'gelu_new', 'gelu'] satisfies ActivationKind[]) {
      assert.ok(await hasNaN(kernels.activation(kernels.tensor(spoilt(5, Number.NaN), [5]), kind)), kind);
    }
  });

  test('turns by the right angle however far the positions have grown', async () => {
    const kernels = await createCpuKernels();
    const options = { heads: 1, headDim: 4, theta: 100 };
    for (let last = 0; last < 40; last++) {
      const turn = (backend: Kernels) => {
        const positions = backend.indices(Int32Array.of(last, last >> 1));
        return backend.read(backend.rope(backend.tensor(normal(1, 8), [2, 4]), positions, options, false));
      };
      const expected = await turn(reference);
      const errors = (await turn(kernels)).map((value, i) => Math.abs(value - expected[i]));
      assert.ok(Math.max(...errors) < 1e-6, `position ${last}`);
    }
  });

  test('attention never looks ahead, not even by a bit', async () => {
    const kernels = await createCpuKernels();
    const shape = { batch: 1, time: 70, heads: 2, kvHeads: 1, headDim: 5 };
    const values = normal(1, 70 * 20);
    const out = async (data: Float32Array) =>
      kernels.read(kernels.attention(kernels.tensor(data, [70, 20]), shape).out);
    const before = await out(values);
    for (const time of [1, 31, 32, 33, 69]) {
      const changed = values.slice().fill(1000, time * 20);
      assert.deepEqual((await out(changed)).slice(0, time * 10), before.slice(0, time * 10));
    }
  });

  test('gives these very bits on every processor', async () => {
    const kernels = await createCpuKernels({ reproducible: true });
    const tensor = (purpose: number, ...shape: Shape) =>
      kernels.tensor(
        normal(
          purpose,
          shape.reduce((a, b) => a * b, 1),
        ),
        shape,
      );
    const attention = { batch: 2, time: 35, heads: 2, kvHeads: 1, headDim: 8 };
    const weight = tensor(2, 24, 32);
    const x = kernels.layerNorm(tensor(1, 70, 24), tensor(3, 24), tensor(4, 24), 1e-5).out;
    const qkv = kernels.linear(x, weight, tensor(5, 32), 'inOut');
    const { out, logSumExp } = kernels.attention(qkv, attention);
    const slope = kernels.attentionBackward(tensor(6, 70, 16), qkv, out, logSumExp, attention);
    const gradients = kernels.linearBackward(slope, x, weight, true, 'inOut');
    const hidden = kernels.activation(gradients.x, 'gelu_new');
    const { losses } = kernels.crossEntropy(hidden, kernels.indices(new Int32Array(70).fill(3)));
    const hashes = await Promise.all(
      [out, gradients.weight, hidden, losses].map(async (result) =>
        sha256(Float32Array.from(await kernels.read(result))).slice(0, 8),
      ),
    );
    assert.deepEqual(hashes, ['61511f0c', 'add36ed6', '7f39f045', 'e1f2dad2']);
  });
});
