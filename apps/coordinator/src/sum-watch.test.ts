import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SumWatch } from './sum-watch.js';

const range = { first: 0, count: 2 };
const losses = { sums: [1, 2], targets: [50, 50] };

/** Gives the watch a sum of that norm in pieces of three values. */
function sum(watch: SumWatch, norm: number, of = range, tell = losses): string | null {
  const each = norm / Math.sqrt(6);
  for (let piece = 0; piece < 2; piece++) watch.piece(7, new Float32Array(3).fill(each));
  return watch.whole(7, of, tell);
}

/** A watch that has seen sums whose norms vary by some ten per cent. */
function experienced(scale = 100, of = range): SumWatch {
  const watch = new SumWatch();
  for (let i = 0; i < 50; i++) assert.equal(sum(watch, scale * (1 + 0.1 * Math.sin(i)), of), null);
  return watch;
}

test('a sum or loss that is not finite is unlikely, wherever the value is', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
      fc.integer({ min: 1, max: 40 }),
      fc.nat(),
      (value, length, at) => {
        const watch = new SumWatch();
        const values = new Float32Array(length);
        values[at % length] = value;
        watch.piece(1, values);
        watch.piece(1, new Float32Array(3));
        assert.match(watch.whole(1, range, losses) ?? '', /^a gradient that is not finite$/);
        const bad = { sums: [1, value], targets: [1, 1] };
        assert.match(sum(new SumWatch(), 1, range, bad) ?? '', /^a loss that is not finite$/);
      },
    ),
  );
});

test('the largest finite values are finite', () => {
  const watch = new SumWatch();
  watch.piece(1, new Float32Array(1000).fill(3.4e38));
  assert.equal(watch.whole(1, range, losses), null);
});

test('a norm far above or below that of recent sums is unlikely, and one near them is not', () => {
  for (const factor of [0.6, 1.5, 2]) assert.equal(sum(experienced(), 100 * factor), null, `× ${factor}`);
  for (const factor of [0, 1e-3, 0.1, 10, 1e6]) {
    assert.match(sum(experienced(), 100 * factor) ?? '', /^a gradient of norm .* where 1\.\d+ is usual, \d/);
  }
});

test('a norm is held against sums of the same scale and number of micro-batches, per target', () => {
  assert.equal(sum(experienced(1e-6), 1e-6), null);
  const watch = experienced();
  assert.equal(sum(watch, 1e5, { first: 0, count: 8 }), null, 'nothing is known of eight');
  assert.equal(sum(watch, 1e5, range, { sums: [1, 2], targets: [5e4, 5e4] }), null, 'as much a target');
});

test('few sums say nothing, and a run that changes its ways is alarmed for a while only', () => {
  const young = new SumWatch();
  for (let i = 0; i < 19; i++) assert.equal(sum(young, 100), null);
  assert.equal(sum(young, 1e9), null);
  const watch = experienced();
  const alarms = Array.from({ length: 200 }, () => sum(watch, 1e4)).filter((reason) => reason !== null);
  assert.ok(alarms.length > 10 && alarms.length < 100, `${alarms.length}`);
});

test('one sum is not mixed with another, nor with one that never became whole', () => {
  const watch = experienced();
  watch.piece(1, new Float32Array(4).fill(Number.NaN));
  assert.equal(sum(watch, 100), null);
  watch.clear();
  watch.piece(1, new Float32Array(4).fill(50));
  assert.equal(watch.whole(1, range, losses), null);
});
