import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { randomStream } from '../../numeric/index.js';
import * as reference from '../reference/attention.js';
import { Buffers } from './testing/buffers.js';

const normal = (purpose: number, size: number) => {
  const stream = randomStream(1, purpose);
  return Float32Array.from({ length: size }, () => stream.nextNormal());
};
const at = (array: { readonly byteOffset: number }) => array.byteOffset;

interface Shape {
  readonly batch: number;
  readonly time: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** Forward and backward, and the queries from `first` on alone; what lies in the scratch memory is NaN at first. */
function attend({ batch, time, heads, kvHeads, headDim }: Shape, first: number, qkv: Float32Array) {
  const buffers = new Buffers(24_000_000);
  const { wasm } = buffers;
  const size = heads * headDim;
  const empty = (length: number) => buffers.floats(new Float32Array(length));
  const input = buffers.floats(qkv);
  const gradient = buffers.floats(normal(2, batch * time * size));
  const out = empty(batch * time * size);
  const logSumExp = empty(batch * heads * time);
  const result = empty(qkv.length);
  const [last, lastSums] = [empty((time - first) * size), empty(heads * (time - first))];
  const scratch = buffers.floats(new Float32Array(wasm.attentionScratch(time, headDim) / 4).fill(Number.NaN));
  const behind = buffers.floats([5]);
  const extents = [heads, kvHeads, headDim];
  wasm.attention(at(input), at(out), at(logSumExp), at(scratch), batch, time, 0, ...extents);
  const saved = [input, out, logSumExp].map(at);
  wasm.attentionBackward(at(gradient), ...saved, at(result), at(scratch), batch, time, ...extents);
  wasm.attention(at(input), at(last), at(lastSums), at(scratch), 1, time, first, ...extents);
  assert.equal(behind[0], 5);
  return { gradient, out, logSumExp, result, last };
}

function close(values: Float32Array, expected: ArrayLike<number>, what: string) {
  values.forEach((value, i) => {
    const bound = 2e-5 * (1 + Math.abs(expected[i]));
    assert.ok(Math.abs(value - expected[i]) < bound, `${what} [${i}] is ${value} instead of ${expected[i]}`);
  });
}

describe('attention in blocks', () => {
  const times = fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 28, max: 84 }));
  const extents = fc
    .record({ group: fc.integer({ min: 1, max: 3 }), kvHeads: fc.integer({ min: 1, max: 2 }), time: times })
    .chain(({ group, kvHeads, time }) =>
      fc.record({
        batch: fc.integer({ min: 1, max: 2 }),
        time: fc.constant(time),
        heads: fc.constant(group * kvHeads),
        kvHeads: fc.constant(kvHeads),
        headDim: fc.integer({ min: 1, max: 20 }),
        first: fc.integer({ min: 0, max: time - 1 }),
      }),
    );

  test('is attention in float64 up to rounding, forward, backward and for the last queries alone', () => {
    fc.assert(
      fc.property(extents, ({ first, ...shape }) => {
        const { batch, time, heads, kvHeads, headDim } = shape;
        const width = (heads + 2 * kvHeads) * headDim;
        const qkv = normal(1, batch * time * width);
        const { gradient, out, logSumExp, result, last } = attend(shape, first, qkv);
        const sizes = { ...shape, width, first: 0, queries: time };
        const exact = reference.attention(Float64Array.from(qkv), sizes);
        close(out, exact.out, 'out');
        close(logSumExp, exact.logSumExp, 'logSumExp');
        const slopes = reference.attentionBackward(
          Float64Array.from(gradient),
          Float64Array.from(qkv),
          exact.out,
          exact.logSumExp,
          sizes,
        );
        close(result, slopes, 'gradient');
        close(last, exact.out.subarray(first * heads * headDim, time * heads * headDim), 'last queries');
      }),
      { numRuns: 60 },
    );
  });

  test('lets nothing that comes later in, not even what is not finite', () => {
    const shape = { batch: 1, time: 85, heads: 2, kvHeads: 1, headDim: 6 };
    const qkv = normal(1, 85 * 24);
    const { out } = attend(shape, 84, qkv);
    for (const time of [8, 16, 44, 83]) {
      const spoilt = attend(shape, 84, qkv.slice().fill(Number.NaN, time * 24)).out;
      // Tiles of five queries share the keys up to the last of them, with a weight of 0.
      const before = Math.floor((time % 40) / 5) * 5 + Math.floor(time / 40) * 40;
      assert.deepEqual(spoilt.slice(0, before * 12), out.slice(0, before * 12));
    }
  });
});
