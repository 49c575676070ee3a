import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOCK } from '@manyhands/core/optim';
import { type Range, splitRange, TreeSum } from '@manyhands/core/reduce';
import { CHUNK_VALUES, piecesOf } from '@manyhands/proto';
import fc from 'fast-check';
import { GradientSum } from './gradient-sum.js';

const size = CHUNK_VALUES + 5;
const pieces = piecesOf(size);

/** Gradients whose sum depends on the order of addition. */
const gradient = (microBatch: number) =>
  Float32Array.from({ length: size }, (_, i) => Math.fround(1 / (1 + ((i * 7 + microBatch * 13) % 101))));

function sumOver({ first, count }: Range, total: number): Float32Array {
  const tree = new TreeSum(total, size);
  for (let i = first; i < first + count; i++) tree.add({ first: i, count: 1 }, gradient(i));
  return tree.partial({ first, count });
}

test('the grid of messages is made of whole blocks of the optimiser', () => {
  assert.equal(CHUNK_VALUES % BLOCK, 0);
});

test('pieces in any order, sent again whole or in parts after a loss, give the bits of one tree', () => {
  const total = 6;
  const whole = { first: 0, count: total };
  const expected = sumOver(whole, total);
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: total }),
      fc.integer({ min: 1, max: total }),
      fc.integer({ min: 0, max: pieces.length }),
      fc.infiniteStream(fc.nat()),
      (workers, helpers, lostAfter, order) => {
        const finished: number[] = [];
        const sum = new GradientSum(size, total, ({ index }) => finished.push(index));
        const messages = splitRange(whole, total, workers).flatMap((range, worker) => {
          const values = sumOver(range, total);
          const own = pieces.map((piece) => ({ range, piece, values }));
          if (worker > 0) return own;
          // The first worker is lost half-way; its range is done again, from the start and in smaller parts.
          const again = splitRange(range, total, helpers).flatMap((part) => {
            const partial = sumOver(part, total);
            return pieces.map((piece) => ({ range: part, piece, values: partial }));
          });
          return [...own.slice(0, lostAfter), ...again];
        });
        // A lost range is given out after what came of it.
        const first = messages.splice(0, lostAfter);
        const rest = messages
          .map((message) => ({ message, at: order.next().value ?? 0 }))
          .sort((a, b) => a.at - b.at)
          .map(({ message }) => message);
        for (const { range, piece, values } of [...first, ...rest]) {
          sum.add(range, piece, values.subarray(piece.from, piece.to));
        }
        assert.ok(sum.complete);
        assert.deepEqual(sum.gradient, expected);
        assert.deepEqual(finished.sort(), [0, 1], 'each piece is told once');
      },
    ),
    { numRuns: 15 },
  );
});

test('what comes again for a finished step’s piece changes nothing; a new step begins empty', () => {
  const sum = new GradientSum(size, 2, () => {});
  const add = (range: Range, value: number) => {
    for (const piece of pieces) sum.add(range, piece, new Float32Array(piece.to - piece.from).fill(value));
  };
  add({ first: 0, count: 2 }, 3);
  add({ first: 0, count: 1 }, 9);
  assert.ok(sum.complete && sum.gradient.every((value) => value === 3));
  sum.clear();
  assert.equal(sum.complete, false);
  add({ first: 0, count: 1 }, 1);
  assert.equal(sum.complete, false);
  add({ first: 1, count: 1 }, 2);
  assert.ok(sum.complete && sum.gradient.every((value) => value === 3));
});
