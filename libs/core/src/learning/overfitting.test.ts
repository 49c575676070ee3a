import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Gap, overfitting } from './index.js';

/** An evaluation every 10 steps, from curves of its number. */
function evaluations(
  count: number,
  train: (i: number) => number,
  validation: (i: number) => number,
  error = 0.01,
): Gap[] {
  return Array.from({ length: count }, (_, i) => ({
    step: 10 * i,
    trainLoss: train(i),
    validationLoss: validation(i),
    error,
  }));
}

const falling = (i: number) => 4 - 0.1 * i;
/** Falls to evaluation 6 and rises from there on. */
const valley = (i: number) => 3.5 + 0.1 * Math.abs(i - 6);

test('where the validation loss turns and the training loss falls on, the gap has opened since the turn', () => {
  const curve = evaluations(12, falling, valley);
  const first = curve.findIndex((_, i) => overfitting(curve.slice(0, i + 1)) !== null);
  assert.equal(first, 8, 'two evaluations after the turn');
  const found = overfitting(curve);
  assert.equal(found?.from.step, 60);
  assert.equal(found?.now.step, 110);
  assert.ok(Math.abs((found?.widened ?? 0) - 5 * 0.2) < 1e-9);
  assert.ok(Math.abs((found?.error ?? 0) - Math.SQRT2 * 0.01) < 1e-12);
});

test('a gap that grows while the validation loss falls is none', () => {
  assert.equal(overfitting(evaluations(12, falling, (i) => 4 - 0.05 * i)), null);
});

test('both rising alike, as with a rate too high, is none', () => {
  assert.equal(overfitting(evaluations(12, valley, (i) => valley(i) + 0.2)), null);
});

test('one evaluation alone is none, and a new lowest loss closes the gap', () => {
  const once = evaluations(12, falling, (i) => 4.1 - 0.1 * i + (i === 11 ? 1 : 0));
  assert.equal(overfitting(once), null);
  const second = evaluations(14, falling, (i) => (i < 12 ? valley(i) : 3));
  assert.ok(overfitting(second.slice(0, 12)) !== null);
  assert.equal(overfitting(second), null);
});

test('differences within the uncertainty are none, whatever they are', () => {
  const noise = fc.array(fc.double({ min: -0.01, max: 0.01, noNaN: true }), { minLength: 40, maxLength: 40 });
  fc.assert(
    fc.property(noise, (noise) => {
      const curve = evaluations(
        20,
        (i) => 2 + noise[2 * i],
        (i) => 2.2 + noise[2 * i + 1],
        0.03,
      );
      assert.equal(overfitting(curve), null);
    }),
  );
});
