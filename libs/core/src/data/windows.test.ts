import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Weight } from '../config/index.js';
import {
  evaluationWindows,
  mixtureShares,
  refuseBarren,
  sampleWindows,
  type WindowSources,
} from './windows.js';

function data(...sources: [weight: Weight, train: number, validation?: number][]): WindowSources {
  const split = (tokens: number) => ({ tokens, bytes: tokens, documents: 1 });
  return {
    sources: sources.map(([weight, train, validation = 0]) => ({
      weight,
      train: split(train),
      validation: split(validation),
    })),
  };
}

test('a batch is a pure function of seed and step; both change it', () => {
  const sources = data([1, 10_000], [2, 5_000]);
  const sample = (seed: number, step: number) =>
    sampleWindows(sources, { seed, step, sequences: 12, context: 64 });
  fc.assert(
    fc.property(fc.nat(), fc.nat(), (seed, step) => {
      assert.deepEqual(sample(seed, step), sample(seed, step));
      assert.notDeepEqual(sample(seed, step), sample(seed, step + 1));
      assert.notDeepEqual(sample(seed, step), sample(seed + 1, step));
    }),
  );
});

test('the windows of a step are the same for ever: a run that resumes under a later version needs them', () => {
  const windows = sampleWindows(data([1, 1_003_854]), { seed: 1337, step: 3, sequences: 4, context: 64 });
  assert.deepEqual(
    windows.map((window) => window.offset),
    [29253, 237577, 112795, 941117],
  );
});

test('a larger batch of the same step begins with the smaller one', () => {
  const sources = data([1, 10_000], [2, 5_000]);
  const sample = (sequences: number) => sampleWindows(sources, { seed: 7, step: 9, sequences, context: 8 });
  assert.deepEqual(sample(20).slice(0, 5), sample(5));
});

test('every window lies whole in its source, or at the start of one that is too short', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 5 }), fc.nat({ max: 200 })), {
        minLength: 1,
        maxLength: 5,
      }),
      fc.integer({ min: 1, max: 64 }),
      fc.nat(),
      (sources, context, seed) => {
        fc.pre(sources.some(([, tokens]) => tokens >= 2));
        for (const window of sampleWindows(data(...sources), { seed, step: 1, sequences: 20, context })) {
          const tokens = sources[window.source]?.[1] ?? 0;
          assert.ok(tokens >= 2, 'a source with a target');
          assert.ok(window.offset >= 0 && (window.offset + context + 1 <= tokens || window.offset === 0));
        }
      },
    ),
  );
});

test('the first and the last possible offset both occur, equally often as the others', () => {
  const counts = new Array<number>(5).fill(0);
  for (const { offset } of sampleWindows(data([1, 12]), {
    seed: 1,
    step: 0,
    sequences: 10_000,
    context: 7,
  })) {
    counts[offset] = (counts[offset] ?? 0) + 1;
  }
  assert.equal(counts.length, 5);
  const chiSquare = counts.reduce((sum, count) => sum + (count - 2000) ** 2 / 2000, 0);
  assert.ok(chiSquare < 18.5, `chi² with 4 degrees of freedom, p = 0.001: ${chiSquare}`);
});

test('sources are drawn by weight, whatever their size', () => {
  const weights = [0.5, 3, 1.5];
  const sources = data([0.5, 1_000_000], [3, 1000], [1.5, 50]);
  const counts = [0, 0, 0];
  for (let step = 0; step < 1000; step++) {
    for (const { source } of sampleWindows(sources, { seed: 4, step, sequences: 10, context: 16 })) {
      counts[source] = (counts[source] ?? 0) + 1;
    }
  }
  const chiSquare = counts.reduce((sum, count, at) => {
    const expected = (10_000 * (weights[at] ?? 0)) / 5;
    return sum + (count - expected) ** 2 / expected;
  }, 0);
  assert.ok(chiSquare < 13.8, `chi² with 2 degrees of freedom, p = 0.001: ${chiSquare}`);
});

test('at every step each source has its share by its weight at that step, within five standard deviations', () => {
  const weight = fc.oneof(
    fc.integer({ min: 1, max: 9 }),
    fc.tuple(fc.nat({ max: 9 }), fc.nat({ max: 9 })).map(([from, to]): [number, number][] => [
      [10, from],
      [30, to],
    ]),
  );
  /** As a person would reckon it. */
  const at = (weight: Weight, step: number) => {
    if (typeof weight === 'number') return weight;
    const [[, from], [, to]] = weight;
    return from + ((to - from) * (Math.min(30, Math.max(10, step)) - 10)) / 20;
  };
  const sequences = 2000;
  fc.assert(
    fc.property(
      fc.array(weight, { minLength: 1, maxLength: 5 }),
      fc.nat({ max: 40 }),
      fc.nat(),
      (weights, step, seed) => {
        const total = weights.reduce<number>((sum, weight) => sum + at(weight, step), 0);
        fc.pre(total > 0);
        const sources = data(
          ...weights.map((weight, index): [Weight, number] => [weight, 50 + 1000 * index]),
        );
        const counts = weights.map(() => 0);
        for (const { source } of sampleWindows(sources, { seed, step, sequences, context: 8 }))
          counts[source] += 1;
        weights.forEach((weight, source) => {
          const share = at(weight, step) / total;
          const deviation = Math.sqrt(sequences * share * (1 - share));
          assert.ok(
            Math.abs(counts[source] - sequences * share) <= 5 * deviation,
            `source ${source}: ${counts}`,
          );
        });
      },
    ),
    { seed: 5, numRuns: 200 },
  );
});

test('the shares of a whole run are those of the windows that it draws', () => {
  const [one, two, , none] = data(
    [1, 900],
    [
      [
        [0, 0],
        [100, 4],
      ],
      900,
    ],
    [1, 1],
    [1, 0],
  ).sources;
  const sources = { sources: [one, two, { ...one, heldOut: true as const }, none] };
  const counts = [0, 0, 0, 0];
  for (let step = 0; step < 200; step++) {
    for (const { source } of sampleWindows(sources, { seed: 2, step, sequences: 50, context: 8 })) {
      counts[source] += 1;
    }
  }
  const shares = mixtureShares(sources, 200);
  assert.ok(Math.abs(shares.reduce((sum, share) => sum + share) - 1) < 1e-12);
  assert.deepEqual(shares.slice(2), [0, 0]);
  shares.forEach((share, source) => {
    const deviation = Math.sqrt(10_000 * share * (1 - share));
    assert.ok(Math.abs(counts[source] - 10_000 * share) <= 5 * deviation, `${counts} for ${shares}`);
  });
  assert.deepEqual(
    mixtureShares(data([3, 50], [1, 9000]), 1e9).map((share) => share.toFixed(9)),
    ['0.750000000', '0.250000000'],
  );
});

test('a schedule that stands still draws the very windows of its number', () => {
  const number = data([2, 5000], [1, 900]);
  const still = data(
    [
      [
        [0, 2],
        [64, 2],
      ],
      5000,
    ],
    [[[7, 1]], 900],
  );
  for (let step = 0; step < 100; step++) {
    const options = { seed: 3, step, sequences: 5, context: 16 };
    assert.deepEqual(sampleWindows(still, options), sampleWindows(number, options));
  }
});

test('what is held out is never drawn, whatever its tokens and weight are said to be', () => {
  const [seen, held] = data([1, 1000], [100, 1000]).sources;
  const sources = { sources: [seen, { ...held, heldOut: true as const }] };
  const windows = sampleWindows(sources, { seed: 1, step: 0, sequences: 500, context: 8 });
  assert.ok(windows.every(({ source }) => source === 0));
});

test('a mixture with a step that nothing can be drawn for is refused before the run', () => {
  const barren =
    (...sources: [Weight, number][]) =>
    () =>
      refuseBarren(data(...sources));
  barren([1, 2])();
  barren(
    [
      [
        [0, 0],
        [9, 1],
      ],
      100,
    ],
    [
      [
        [0, 1],
        [9, 0],
      ],
      100,
    ],
  )();
  const nothing = { name: 'UserError', message: /^The training data has fewer than two tokens/ };
  assert.throws(barren([1, 1], [1, 0]), nothing);
  const [held] = data([1, 100]).sources;
  assert.throws(() => refuseBarren({ sources: [{ ...held, heldOut: true }] }), nothing);
  // The other source has a weight there, but no text.
  const late = { name: 'UserError', message: /^At step 9 no source with training text has a weight above 0/ };
  assert.throws(
    barren(
      [
        [
          [0, 1],
          [9, 0],
        ],
        100,
      ],
      [1, 1],
    ),
    late,
  );
});

test('data without a target is refused', () => {
  const options = { seed: 1, step: 1, sequences: 1, context: 4 };
  assert.throws(() => sampleWindows(data([1, 1], [1, 0]), options), { name: 'UserError' });
});

test('all windows of an evaluation cover each token but the first exactly once as a target', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat({ max: 300 }), { maxLength: 4 }),
      fc.integer({ min: 1, max: 40 }),
      (lengths, context) => {
        const sources = data(...lengths.map((length): [number, number, number] => [1, 0, length]));
        const windows = evaluationWindows(sources, 'validation', { context, maximum: 1e9 });
        const seen = lengths.map((length) => new Array<number>(length).fill(0));
        for (const { source, offset, split } of windows) {
          assert.equal(split, 'validation');
          assert.ok(offset + 1 < lengths[source], 'a window without a target costs time and tells nothing');
          for (let at = offset + 1; at <= offset + context && at < (lengths[source] ?? 0); at++) {
            const row = seen[source];
            if (row) row[at] = (row[at] ?? 0) + 1;
          }
        }
        assert.ok(seen.every((row) => row.every((count, at) => count === (at === 0 ? 0 : 1))));
      },
    ),
  );
});

test('what is held out has windows of its own, and takes none from the others', () => {
  const plain = data([1, 0, 500], [1, 0, 90]);
  const [held] = data([1, 0, 10_000]).sources;
  const sources = { sources: [...plain.sources, { ...held, heldOut: true as const }] };
  const options = { context: 10, maximum: 20 };
  assert.deepEqual(
    evaluationWindows(sources, 'validation', options),
    evaluationWindows(plain, 'validation', options),
  );
  const apart = evaluationWindows(sources, 'validation', { ...options, heldOut: true });
  assert.equal(apart.length, 20);
  assert.ok(apart.every(({ source }) => source === 2));
});

test('fewer windows are spread evenly, never overlap, never exceed the maximum, and leave out no source', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 2, max: 3000 }), { minLength: 1, maxLength: 6 }),
      fc.integer({ min: 1, max: 30 }),
      fc.integer({ min: 1, max: 50 }),
      (lengths, context, maximum) => {
        const sources = data(...lengths.map((length): [number, number] => [1, length]));
        const windows = evaluationWindows(sources, 'train', { context, maximum });
        assert.ok(windows.length <= maximum);
        assert.deepEqual(windows, evaluationWindows(sources, 'train', { context, maximum }));
        assert.equal(
          new Set(windows.map(({ source, offset }) => `${source}:${offset}`)).size,
          windows.length,
        );
        assert.ok(
          windows.every(
            ({ offset, source }) => offset % context === 0 && offset + 1 < (lengths[source] ?? 0),
          ),
        );
        if (maximum >= lengths.length)
          assert.equal(new Set(windows.map(({ source }) => source)).size, lengths.length);
        else assert.equal(windows.length, maximum);
        const first = windows.filter(({ source }) => source === 0).map(({ offset }) => offset / context);
        const gaps = first.slice(1).map((at, index) => at - (first[index] ?? 0));
        assert.ok(gaps.length === 0 || Math.max(...gaps) - Math.min(...gaps) <= 1);
      },
    ),
  );
});
