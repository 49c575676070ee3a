import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DROPOUT, dropoutMask, dropoutScale, dropoutThreshold, randomStream } from '../../numeric/index.js';
import { Buffers } from './testing/buffers.js';

const normal = (purpose: number, size: number) => {
  const stream = randomStream(1, purpose);
  return Float32Array.from({ length: size }, () => stream.nextNormal());
};
const at = (array: { readonly byteOffset: number }) => array.byteOffset;

/** Rows and columns: fewer rows than four, rows that are no multiple, columns that fill no vector. */
const sizes = [
  [1, 1],
  [2, 3],
  [4, 8],
  [5, 33],
  [7, 64],
  [9, 130],
] as const;

describe('fused kernels give the bits of the separate ones', () => {
  test('a sum and its layer norm', () => {
    for (const [n, c] of sizes) {
      const buffers = new Buffers(200_000);
      const { wasm } = buffers;
      const [a, b] = [buffers.floats(normal(1, n * c)), buffers.floats(normal(2, n * c))];
      const [weight, bias] = [buffers.floats(normal(3, c)), buffers.floats(normal(4, c))];
      const results = () => [n * c, n * c, n, n].map((size) => buffers.floats(new Float32Array(size)));
      const [sum, out, mean, rstd] = results();
      const fused = results();
      wasm.add(at(a), at(b), at(sum), 4 * n * c);
      wasm.layerNorm(at(sum), at(weight), at(bias), at(out), at(mean), at(rstd), n, c, 1e-5);
      const [first, ...others] = fused.map(at);
      wasm.addLayerNorm(at(a), at(b), first, at(weight), at(bias), ...others, n, c, 1e-5);
      assert.deepEqual(fused, [sum, out, mean, rstd], `${n} × ${c}`);
      sum.forEach((value, i) => {
        assert.equal(value, Math.fround(a[i] + b[i]));
      });
      for (let row = 0; row < n; row++) {
        const line = sum.subarray(row * c, (row + 1) * c);
        const average = line.reduce((total, x) => total + x, 0) / c;
        const variance = line.reduce((total, x) => total + (x - average) ** 2, 0) / c;
        line.forEach((x, j) => {
          const expected = ((x - average) / Math.sqrt(variance + 1e-5)) * weight[j] + bias[j];
          assert.ok(
            Math.abs(out[row * c + j] - expected) < 1e-4,
            `${out[row * c + j]} instead of ${expected}`,
          );
        });
      }
    }
  });

  test("a norm's gradient and the residual's, which it may overwrite", () => {
    for (const [n, c] of sizes) {
      for (const centred of [true, false]) {
        const buffers = new Buffers(200_000);
        const { wasm } = buffers;
        const [g, x, residual] = [1, 2, 3].map((purpose) => buffers.floats(normal(purpose, n * c)));
        const weight = buffers.floats(normal(4, c));
        const [means, rstds] = [buffers.floats(normal(5, n)), buffers.floats(normal(6, n).map(Math.abs))];
        const mean = centred ? at(means) : 0;
        const results = () => [n * c, c, c].map((size) => buffers.floats(new Float32Array(size)));
        const [dx, dweight, dbias] = results();
        const sum = buffers.floats(new Float32Array(n * c));
        const places = [g, x, weight].map(at);
        const bias = (array: Float32Array) => (centred ? at(array) : 0);
        wasm.normBackward(...places, mean, at(rstds), at(dx), at(dweight), bias(dbias), n, c);
        wasm.add(at(residual), at(dx), at(sum), 4 * n * c);
        const [, fusedWeight, fusedBias] = results();
        const gradients = [at(fusedWeight), bias(fusedBias)];
        wasm.normBackwardAdd(...places, mean, at(rstds), at(residual), at(residual), ...gradients, n, c);
        assert.deepEqual([residual, fusedWeight, fusedBias], [sum, dweight, dbias], `${n} × ${c}`);
      }
    }
  });

  test("GELU's gradient and the sum of its rows", () => {
    for (const [n, c] of sizes) {
      const buffers = new Buffers(200_000);
      const { wasm } = buffers;
      const [g, x] = [buffers.floats(normal(1, n * c)), buffers.floats(normal(2, n * c))];
      const results = () => [n * c, c].map((size) => buffers.floats(new Float32Array(size)));
      const [out, sums] = results();
      const [fused, fusedSums] = results();
      wasm.geluTanhBackward(at(g), at(x), at(out), Math.ceil((4 * n * c) / 16) * 16);
      wasm.sumRows(n, c, at(out), at(sums));
      wasm.geluTanhBackwardSum(at(g), at(x), at(fused), at(fusedSums), n, c);
      assert.deepEqual([fused, fusedSums], [out, sums], `${n} × ${c}`);
      const cdf = (z: number) => 1 / (1 + Math.exp(-1.5957691216 * (z + 0.044715 * z ** 3)));
      out.forEach((value, i) => {
        const step = 1e-5;
        const slope = ((x[i] + step) * cdf(x[i] + step) - (x[i] - step) * cdf(x[i] - step)) / (2 * step);
        assert.ok(Math.abs(value - g[i] * slope) < 1e-5 * (1 + Math.abs(g[i])));
      });
    }
  });
});

test('dropout in four lanes draws what the mask in plain JavaScript says, whatever the number of entries', () => {
  const place = { seed: 0xfedcba98, step: 7, microBatch: 3, layer: 11 };
  const { seed, step, microBatch, layer } = place;
  const key = [seed, step, microBatch, layer, DROPOUT, dropoutThreshold(0.3), dropoutScale(0.3)];
  for (const size of [4, 8, 12, 16, 20, 1028]) {
    const buffers = new Buffers(64_000);
    const x = buffers.floats(normal(1, size));
    const out = buffers.floats(new Float32Array(size + 8).fill(5));
    buffers.wasm.dropout(at(x), at(out), 4 * size, ...key);
    const mask = dropoutMask(size, 0.3, place);
    x.forEach((value, i) => {
      assert.equal(Math.abs(out[i]), Math.abs(Math.fround(value * mask[i])));
    });
    assert.deepEqual(out.slice(size), new Float32Array(8).fill(5));
  }
});
