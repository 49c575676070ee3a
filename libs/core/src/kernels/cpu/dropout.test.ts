import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DROPOUT, dropoutMask, dropoutScale, dropoutThreshold, randomStream } from '../../numeric/index.js';
import { Buffers } from './testing/buffers.js';

const normal = (purpose: number, size: number) => {
  const stream = randomStream(1, purpose);
  return Float32Array.from({ length: size }, () => stream.nextNormal());
};
const at = (array: { readonly byteOffset: number }) => array.byteOffset;

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
