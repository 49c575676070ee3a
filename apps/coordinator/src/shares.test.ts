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

test('a step is shared out whole, and giving any micro-batch to another would end it no sooner', () => {
  fc.assert(
    fc.property(speeds, fc.integer({ min: 1, max: 64 }), (each, total) => {
      const given = counts(each, total);
      const end = Math.max(...given.map((count, i) => count / each[i]));
      for (const [i, speed] of each.entries()) assert.ok((given[i] + 1) / speed >= end);
    }),
  );
});

test('equals get equal parts, the first of them what is left', () => {
  assert.deepEqual(counts([2, 2, 2], 8), [3, 3, 2]);
  assert.deepEqual(counts([1, 1, 1, 1], 2), [1, 1, 0, 0]);
  assert.deepEqual(counts([3, 1], 8), [6, 2]);
});

test('without workers nothing is given', () => assert.deepEqual(shareOut(new Map(), 4), []));
