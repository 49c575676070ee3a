import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { evaluationWindows, sampleWindows, type WindowSources } from './windows.js';

function data(...sources: [weight: number, train: number, validation?: number][]): WindowSources {
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
