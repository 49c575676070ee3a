import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { randomStream } from '../../numeric/index.js';
import { relaxedSimd } from './module.js';
import { Buffers } from './testing/buffers.js';

const normal = (purpose: number, size: number) => {
  const stream = randomStream(1, purpose);
  return Float32Array.from({ length: size }, () => stream.nextNormal());
};

describe('relaxed SIMD', () => {
  test('is there in every version of Node that this project runs on', () => {
    assert.equal(relaxedSimd(), true);
    assert.equal(relaxedSimd(), true);
  });

  test('computes what the plain kernels compute, up to rounding, and the same bits each time', () => {
    const [n, m, k] = [23, 37, 41];
    const results = (relaxed: boolean) => {
      const buffers = new Buffers(200_000, { relaxed });
      const { wasm } = buffers;
      const at = (array: { readonly byteOffset: number }) => array.byteOffset;
      const [a, b] = [buffers.floats(normal(1, n * k)), buffers.floats(normal(2, k * m))];
      const [product, activated] = [1, 2].map(() => buffers.floats(new Float32Array(n * m)));
      wasm.matmul(n, m, k, at(a), k, 1, at(b), m, 1, at(product), m, 0, 0);
      wasm.geluTanh(at(product), at(activated), 4 * Math.ceil((n * m) / 4) * 4);
      const [T, size] = [45, 12];
      const qkv = buffers.floats(normal(3, 3 * T * size));
      const [out, sums] = [buffers.floats(new Float32Array(T * size)), buffers.floats(new Float32Array(T))];
      const scratch = buffers.floats(new Float32Array(wasm.attentionScratch(T, size) / 4));
      wasm.attention(at(qkv), at(out), at(sums), at(scratch), 1, T, 0, 1, 1, size);
      return [product, activated, out, sums].flatMap((array) => [...array]);
    };
    const plain = results(false);
    const relaxed = results(true);
    relaxed.forEach((value, i) => {
      assert.ok(Math.abs(value - plain[i]) < 2e-5, `${value} instead of ${plain[i]}`);
    });
    assert.deepEqual(results(true), relaxed);
    assert.deepEqual(results(false), plain);
  });
});
