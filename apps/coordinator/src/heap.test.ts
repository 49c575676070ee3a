import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Heap } from './heap.js';

test('whatever is pushed and popped in whatever order, the smallest comes out', () => {
  const push = fc.record({ push: fc.integer({ min: -20, max: 20 }) });
  fc.assert(
    fc.property(fc.array(fc.oneof(push, fc.constant('pop' as const)), { maxLength: 200 }), (moves) => {
      const heap = new Heap<number>((one, other) => one < other);
      const sorted: number[] = [];
      for (const move of moves) {
        if (move === 'pop') {
          assert.equal(heap.pop(), sorted.shift());
        } else {
          heap.push(move.push);
          sorted.push(move.push);
          sorted.sort((a, b) => a - b);
        }
        assert.equal(heap.length, sorted.length);
      }
    }),
  );
});
