import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { randomStream } from '../numeric/index.js';
import { DocumentMean, LossProfile, type MeanLoss } from './index.js';

type Document = readonly (readonly number[])[];

function meanOf(documents: readonly Document[]): MeanLoss | null {
  const mean = new DocumentMean();
  for (const parts of documents) {
    for (const part of parts) {
      mean.add(
        part.reduce((a, b) => a + b, 0),
        part.length,
      );
    }
    mean.endDocument();
  }
  return mean.result;
}

/** The standard error as a textbook writes it: deviations of the units from the common ratio, one after the other. */
function plainError(units: readonly (readonly number[])[]): number {
  const all = units.flat();
  const mean = all.reduce((a, b) => a + b, 0) / all.length;
  const squares = units.map((unit) => unit.reduce((sum, loss) => sum + loss - mean, 0) ** 2);
  const variance = squares.reduce((a, b) => a + b, 0) / (units.length - 1);
  return Math.sqrt(variance * units.length) / all.length;
}

const near = (a: number, b: number, tolerance = 1e-7) =>
  assert.ok(Math.abs(a - b) <= tolerance * (1 + Math.abs(b)), `${a} is not ${b}`);

test('by hand: three documents of 1, 2 and 3 tokens', () => {
  const found = meanOf([[[1]], [[2], [4]], [[3, 3, 5]]]);
  assert.ok(found);
  assert.deepEqual([found.mean, found.count, found.documents, found.over], [3, 6, 3, 'documents']);
  // Sums less 3 a token: −2, 0, 2; √(3/2 · 8) / 6.
  near(found.error ?? Number.NaN, Math.sqrt(12) / 6);
});

test('mean and standard error are those of the plain formula, over documents, or parts of a single one', () => {
  const losses = fc.array(fc.double({ min: 0, max: 12, noNaN: true }), { minLength: 1, maxLength: 9 });
  const document = fc.array(losses, { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(fc.array(document, { minLength: 1, maxLength: 8 }), (documents) => {
      const found = meanOf(documents);
      assert.ok(found);
      const units = documents.length > 1 ? documents.map((parts) => parts.flat()) : documents[0];
      assert.equal(found.over, documents.length > 1 ? 'documents' : 'parts');
      if (units.length < 2) assert.equal(found.error, null);
      else near(found.error ?? Number.NaN, plainError(units), 1e-6);
    }),
  );
  assert.equal(meanOf([]), null);
});

test('the true mean lies within 1.96 standard errors in about 19 of 20 draws of documents that differ', () => {
  let held = 0;
  const draws = 400;
  for (let seed = 0; seed < draws; seed++) {
    const random = randomStream(seed, 0, 0);
    const normal = () => Array.from({ length: 12 }, () => random.nextFloat()).reduce((a, b) => a + b) - 6;
    const documents = Array.from({ length: 40 }, () => {
      const own = 3 + 0.5 * normal(); // what its tokens have in common
      return [Array.from({ length: 1 + random.below(20) }, () => own + normal())];
    });
    const { mean, error } = meanOf(documents) ?? assert.fail();
    if (Math.abs(mean - 3) <= 1.96 * (error ?? 0)) held += 1;
  }
  assert.ok(held > 0.9 * draws && held < 0.98 * draws, `${held} of ${draws}`);
});

test('every token is counted once by position and once by length, where it belongs', () => {
  const window = (context: number) =>
    fc.array(fc.double({ min: 0, max: 9, noNaN: true }), { minLength: 1, maxLength: context });
  const cases = fc
    .integer({ min: 1, max: 70 })
    .chain((context) =>
      fc.tuple(
        fc.constant(context),
        fc.array(fc.array(window(context), { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 6 }),
      ),
    );
  fc.assert(
    fc.property(cases, ([context, documents]) => {
      const profile = new LossProfile(context);
      for (const windows of documents) {
        for (const losses of windows) profile.add(losses);
        profile.endDocument();
      }
      const { lengths, positions } = profile.profile;
      const tokens = documents.flat(2).length;
      const total = documents.flat(2).reduce((a, b) => a + b, 0);
      for (const ranges of [lengths, positions]) {
        assert.equal(
          ranges.reduce((sum, { count }) => sum + count, 0),
          tokens,
        );
        near(
          ranges.reduce((sum, { count, mean }) => sum + count * mean, 0),
          total,
        );
        ranges.slice(1).forEach(({ from }, i) => {
          assert.ok(from > ranges[i].to, 'in order, none twice');
        });
      }
      for (const { from, to, ...found } of positions) {
        assert.deepEqual(
          found,
          meanOf(documents.map((windows) => windows.map((w) => w.slice(from - 1, to)))),
        );
      }
      for (const { from, to, documents: number } of lengths) {
        const fitting = documents.filter(
          (windows) => windows.flat().length + 1 >= from && windows.flat().length < to,
        );
        assert.equal(number, fitting.length);
      }
    }),
  );
});

test('the first positions stand alone, the later ones by half octaves', () => {
  const profile = new LossProfile(20);
  profile.add(new Float32Array(20).fill(1));
  profile.endDocument();
  assert.deepEqual(
    profile.profile.positions.map(({ from, to }) => [from, to]),
    [
      [1, 1],
      [2, 2],
      [3, 3],
      [4, 5],
      [6, 7],
      [8, 10],
      [11, 15],
      [16, 20],
    ],
  );
});
