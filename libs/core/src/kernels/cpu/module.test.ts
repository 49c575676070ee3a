import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { math, randomStream } from '../../numeric/index.js';
import { Buffers } from './testing/buffers.js';

const normal = (purpose: number, size: number) => {
  const stream = randomStream(1, purpose);
  return Float32Array.from({ length: size }, () => stream.nextNormal());
};

describe('kernels over plain memory', () => {
  test('accumulate adds to its target, whole vectors or not, and touches nothing behind it', () => {
    for (const size of [0, 1, 3, 4, 7, 64, 1001]) {
      const buffers = new Buffers(64_000);
      const [target, x] = [buffers.floats(normal(1, size)), buffers.floats(normal(2, size))];
      const behind = buffers.floats([5]);
      const expected = target.map((value, i) => Math.fround(value + x[i]));
      buffers.wasm.accumulate(target.byteOffset, x.byteOffset, 4 * size);
      assert.deepEqual(target, expected);
      assert.deepEqual(x, normal(2, size));
      assert.equal(behind[0], 5);
    }
  });

  test('transpose turns matrices of any sizes over', () => {
    const extent = fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 28, max: 70 }));
    fc.assert(
      fc.property(extent, extent, (rows, columns) => {
        const buffers = new Buffers(64_000);
        const from = buffers.floats(Float32Array.from({ length: rows * columns }, (_, i) => i));
        const to = buffers.floats(new Float32Array(rows * columns));
        const behind = buffers.floats([5]);
        buffers.wasm.transpose(from.byteOffset, to.byteOffset, rows, columns);
        to.forEach((value, i) => {
          assert.equal(value, (i % rows) * columns + Math.floor(i / rows));
        });
        assert.equal(behind[0], 5);
      }),
    );
  });

  test("lossGradient gives the bits of crossEntropy and of its gradient, and they are the softmax's", () => {
    for (const v of [1, 3, 4, 65, 1031]) {
      const targets = Int32Array.of(0, -1, v - 1, v >> 1, -1);
      const n = targets.length;
      const values = normal(3, n * v).map((x) => 4 * x);
      const buffers = new Buffers(200_000);
      const ids = buffers.integers(targets);
      const zeros = () => buffers.floats(new Float32Array(n));
      const [logits, fused, apart] = [values, values, values].map((copy) => buffers.floats(copy));
      const [losses, logSumExp, fusedLosses, fusedLogSumExp] = [zeros(), zeros(), zeros(), zeros()];
      const ones = buffers.floats(new Float32Array(n).fill(1));
      const at = (array: { readonly byteOffset: number }) => array.byteOffset;
      const { wasm } = buffers;
      wasm.crossEntropy(at(logits), at(ids), at(losses), at(logSumExp), n, v);
      wasm.crossEntropyBackward(at(ones), at(logits), at(ids), at(logSumExp), at(apart), n, v);
      wasm.lossGradient(at(fused), at(ids), at(fusedLosses), at(fusedLogSumExp), n, v);
      assert.deepEqual(fusedLosses, losses);
      assert.deepEqual(fusedLogSumExp, logSumExp);
      assert.deepEqual(fused, apart);
      targets.forEach((target, row) => {
        const line = values.subarray(row * v, (row + 1) * v);
        const total = line.reduce((sum, x) => sum + math.exp(x), 0);
        const loss = target < 0 ? 0 : math.log(total) - line[target];
        assert.ok(Math.abs(losses[row] - loss) < 1e-5, `${losses[row]} instead of ${loss}`);
        line.forEach((x, j) => {
          const gradient = target < 0 ? 0 : math.exp(x) / total - (j === target ? 1 : 0);
          assert.ok(Math.abs(fused[row * v + j] - gradient) < 1e-6);
        });
      });
    }
  });
});
