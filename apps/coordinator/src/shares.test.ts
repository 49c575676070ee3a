import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { shareOut } from './shares.js';

const speeds = fc.array(fc.double({ min: 0.001, max: 1000, noNaN: true }), { minLength: 1, maxLength: 12 });

function counts(each: readonly number[], total: number): number[] {
  const workers = new Map(each.map((speed, i) => [`w${i}`, speed]));
  const shares = shareOut(workers, total);
  const sums = each.map(() => 0);
  let first = 0;
  for (const { worker, range } of shares) {
    assert.equal(range.first, first, 'the ranges follow one another');
    first += range.count;
    sums[Number(worker.slice(1))] += range.count;
  }
  assert.equal(first, total, 'every micro-batch is in one range');
  return sums;
}

/** The earliest end: when all together could have done so many whole micro-batches. */
function earliest(each: readonly number[], total: number): number {
  const ends = each.flatMap((speed) => Array.from({ length: total }, (_, i) => (i + 1) / speed));
  return ends.sort((a, b) => a - b)[total - 1];
}

test('a step is shared out whole, and ends at most a sixteenth later than it could', () => {
  fc.assert(
    fc.property(speeds, fc.integer({ min: 1, max: 64 }), (each, total) => {
      const given = counts(each, total);
      const end = Math.max(...given.map((count, i) => count / each[i]));
      assert.ok(end <= (1 + 1 / 16 + 1e-9) * earliest(each, total));
    }),
  );
});

test('nobody is given much less than would be right for it: a slow one is busy too', () => {
  assert.deepEqual(counts([0.9, 0.13], 24), [21, 3]);
  assert.deepEqual(counts([0.13, 0.9], 24), [3, 21]);
});

test('workers that are nearly as fast as each other get one node each', () => {
  const nearly = fc.integer({ min: 0, max: 4 }).chain((level) => {
    const workers = 2 ** level;
    return fc.array(fc.double({ min: 0.97, max: 1.03, noNaN: true }), {
      minLength: workers,
      maxLength: workers,
    });
  });
  fc.assert(
    fc.property(nearly, fc.integer({ min: 0, max: 5 }), (each, level) => {
      const total = each.length * 2 ** level;
      const workers = new Map(each.map((speed, i) => [`w${i}`, speed]));
      assert.equal(shareOut(workers, total).length, each.length);
    }),
  );
});

test('whoever is fast enough for one micro-batch is given one, and others are not', () => {
  assert.deepEqual(counts([16, 1, 0.1], 17), [16, 1, 0]);
});

test('equals get equal parts', () => {
  assert.deepEqual(counts([2, 2, 2], 9), [3, 3, 3]);
  assert.deepEqual(counts([1, 1, 1, 1], 2), [1, 1, 0, 0]);
  assert.deepEqual(counts([3, 1], 8), [6, 2]);
});

test('without workers nothing is given', () => assert.deepEqual(shareOut(new Map(), 4), []));
