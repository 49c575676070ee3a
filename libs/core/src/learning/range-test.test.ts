import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { randomStream } from '../numeric/index.js';
import { proposeRate } from './index.js';

/** Twenty rates a decade, from 10^low to 10^high, with the loss of each. */
function sweep(loss: (decade: number, index: number) => number, [low, high] = [-6, 1]) {
  return Array.from({ length: 20 * (high - low) + 1 }, (_, index) => {
    const decade = low + index / 20;
    return { rate: 10 ** decade, loss: loss(decade, index) };
  });
}

/** Flat at 4 up to a rate of 10⁻⁴·⁵, then down by 0.8 a decade to 10^`best`, then up twice as fast. */
const valley = (best: number) => (decade: number) =>
  decade < -4.5
    ? 4
    : decade < best
      ? 4 - 0.8 * (decade + 4.5)
      : 4 - 0.8 * (best + 4.5) + 1.6 * (decade - best);

/** Factor between two rates, in decades. */
const apart = (a = Number.NaN, b = Number.NaN) => Math.abs(Math.log10(a / b));

test('the rate up to which the loss falls is proposed, whatever the noise of a step', () => {
  const cases = fc.record({
    best: fc.double({ min: -3, max: -0.5, noNaN: true }),
    seed: fc.integer({ min: 0, max: 1e6 }),
  });
  fc.assert(
    fc.property(cases, ({ best, seed }) => {
      const random = randomStream(seed, 0, 0);
      const found = proposeRate(sweep((decade) => valley(best)(decade) + 0.1 * (random.nextFloat() - 0.5)));
      assert.ok(found !== null && apart(found.rate, 10 ** best) < 0.3, `${found?.rate} for 10^${best}`);
      assert.ok(found.from < found.steepest && found.steepest <= found.rate);
      assert.ok(apart(found.from, 10 ** -4.5) < 1.5, `falls from ${found.from}`);
    }),
  );
});

test('wild losses here and there, and none at the end, move it little', () => {
  const calm = proposeRate(sweep(valley(-2)));
  const wild = sweep((decade, index) => (index % 9 === 4 ? 30 : valley(-2)(decade)));
  const broken = [...wild, { rate: 20, loss: Number.NaN }, { rate: 22, loss: Number.POSITIVE_INFINITY }];
  assert.ok(apart(proposeRate(broken)?.rate, calm?.rate) < 0.3);
});

test('a second fall, of a model that was thrown far off, is not followed', () => {
  const twice = sweep((decade) => (decade < -1 ? valley(-2.5)(decade) : 8 - 0.5 * (decade + 1)));
  assert.ok(apart(proposeRate(twice)?.rate, 10 ** -2.5) < 0.3);
});

test('rates that are ten times as high give a proposal ten times as high', () => {
  const points = sweep(valley(-2));
  const shifted = points.map(({ rate, loss }) => ({ rate: 10 * rate, loss }));
  assert.ok(apart(proposeRate(shifted)?.rate, 10 * (proposeRate(points)?.rate ?? 0)) < 0.03);
});

test('a loss that only rises, stays or jumps about gives none, and so do too few rates', () => {
  const random = randomStream(3, 0, 0);
  assert.equal(proposeRate(sweep((decade) => 4 + decade)), null);
  assert.equal(proposeRate(sweep(() => 4)), null);
  assert.equal(proposeRate(sweep((_, index) => 4 + (index % 2) + 1e-3 * random.nextFloat())), null);
  assert.equal(proposeRate(sweep(valley(-2)).slice(60, 75)), null);
  assert.equal(proposeRate([]), null);
});
