import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { barrenStep, describeWeight, type Weight, weightAt, weightSchema } from './weight.js';

/** Points of a schedule, by the steps between them; many weights are 0. */
const schedule = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 20 }), fc.oneof(fc.constant(0), fc.nat({ max: 9 }))), {
    minLength: 1,
    maxLength: 5,
  })
  .map((parts): [number, number][] => {
    const steps = parts.map((_, at) => parts.slice(0, at + 1).reduce((sum, [later]) => sum + later, -1));
    return parts.map(([, weight], at) => [steps[at], weight]);
  });

test('a schedule is its points, a straight line between two of them, and level outside', () => {
  fc.assert(
    fc.property(schedule, (points) => {
      for (const [step, weight] of points) assert.equal(weightAt(points, step), weight);
      const [[first, start]] = points;
      const [last, end] = points[points.length - 1];
      assert.equal(weightAt(points, Math.max(0, first - 1)), start);
      for (const later of [1, 2, 1000]) assert.equal(weightAt(points, last + later), end);
      points.slice(1).forEach(([to, after], at) => {
        const [from, before] = points[at];
        for (let step = from; step <= to; step++) {
          const area = weightAt(points, step) * (to - from);
          assert.ok(Math.abs(area - (before * (to - step) + after * (step - from))) < 1e-9, `step ${step}`);
        }
      });
    }),
  );
});

test('a step without any weight is found exactly where there is one', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.constantFrom<Weight>(0, 2), schedule), { maxLength: 3 }), (weights) => {
      const none = (step: number) => weights.every((weight) => weightAt(weight, step) === 0);
      const found = barrenStep(weights);
      if (found === null)
        assert.ok(Array.from({ length: 120 }, (_, step) => step).every((step) => !none(step)));
      else assert.ok(none(found));
    }),
  );
});

test('a weight that a person writes is accepted or refused by what it says', () => {
  const accepted = [
    1,
    1e-9,
    1e9,
    [[0, 1]],
    [
      [0, 0],
      [100, 2.5],
    ],
    [
      [5, 1],
      [6, 0],
    ],
  ];
  const refused = [
    ...[0, -1, 1e10, Number.NaN, Number.POSITIVE_INFINITY, '1', null, [], {}],
    ...[
      [[0, 0]],
      [
        [0, 1],
        [0, 2],
      ],
      [
        [9, 1],
        [3, 2],
      ],
      [[-1, 1]],
      [[0.5, 1]],
      [
        [0, -1],
        [1, 1],
      ],
      [[0, 1, 2]],
      [0, 1],
    ],
    Array.from({ length: 1001 }, (_, step) => [step, 1]),
  ];
  for (const value of accepted) assert.deepEqual(weightSchema.parse(value), value);
  for (const value of refused) {
    const { success, error } = weightSchema.safeParse(value);
    assert.equal(success, false, JSON.stringify(value));
    assert.match(
      error?.issues[0].message ?? '',
      /^a number above 0 .*points \[\[step, weight\], …\] whose steps rise/,
    );
  }
});

test('a weight in words', () => {
  assert.equal(describeWeight(2.5), '2.5');
  assert.equal(
    describeWeight([
      [0, 0],
      [500, 3],
    ]),
    '0 (step 0) … 3 (step 500)',
  );
});
