import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { wasmFunctions } from '../numeric/index.js';

const memory = new WebAssembly.Memory({ initial: 8, maximum: 8 });
const { arenaBase, descend } = wasmFunctions('optimizer.wasm', ['arenaBase', 'descend'], { memory });
/** float64: the two sums, then a direction; float32: weights. Each with room for one more. */
const sums = arenaBase();
const direction = sums + 16;
const weights = direction + 8 * 64;
const doubles = (at: number, count: number) => new Float64Array(memory.buffer, at, count);
const floats = (count: number) => new Float32Array(memory.buffer, weights, count);

const value = fc.float({ min: -4, max: 4, noNaN: true });
const pairs = fc.array(fc.tuple(value, value), { maxLength: 40 });

test('a descent moves each weight, and adds the squares of the changes and of the weights before', () => {
  fc.assert(
    fc.property(pairs, fc.constantFrom(1, 0.99), fc.boolean(), (values, keep, measured) => {
      const count = values.length;
      const rate = 0.01;
      doubles(sums, 2).set([3, 5]);
      doubles(direction, count).set(values.map(([, along]) => along));
      const before = Float32Array.from(values.map(([weight]) => weight));
      floats(count).set(before);
      const marks = new Uint8Array(memory.buffer, weights + 4 * (count + 1), 64).fill(7);
      descend(count, weights, direction, rate, keep, measured ? sums : 0);
      const after = Float32Array.from(values.map(([weight, along]) => keep * weight - rate * along));
      assert.deepEqual(floats(count), after);
      assert.ok(marks.every((mark) => mark === 7));
      const [moved, length] = doubles(sums, 2);
      if (!measured) {
        assert.deepEqual([moved, length], [3, 5], 'nobody wants them, so none is made');
        return;
      }
      const squares = (of: (i: number) => number) => before.reduce((sum, _, i) => sum + of(i) ** 2, 0);
      assert.ok(Math.abs(moved - 3 - squares((i) => after[i] - before[i])) < 1e-12);
      assert.ok(Math.abs(length - 5 - squares((i) => before[i])) < 1e-9);
    }),
  );
});
