import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TokenizerError } from './errors.js';
import { Merges } from './merges.js';

/** The definition: look for the lowest rank, leftmost, until there is none. */
function byDefinition(triples: readonly number[], ids: readonly number[]): number[] {
  const out = [...ids];
  for (;;) {
    let best = triples.length;
    let place = -1;
    for (let i = 0; i + 1 < out.length; i++) {
      for (let m = 0; m < best; m += 3) {
        if (triples[m] === out[i] && triples[m + 1] === out[i + 1]) {
          best = m;
          place = i;
        }
      }
    }
    if (place < 0) return out;
    out.splice(place, 2, triples[best + 2]);
  }
}

/** Merges over few symbols, so that runs, overlaps and two ways to the same token are common. */
const mergesAndIds = fc.record({
  triples: fc
    .uniqueArray(fc.tuple(fc.nat(7), fc.nat(7)), { selector: ([a, b]) => a * 8 + b, maxLength: 12 })
    .chain((pairs) => fc.tuple(...pairs.map(([a, b]) => fc.nat(7).map((merged) => [a, b, merged]))))
    .map((triples) => triples.flat()),
  ids: fc.array(fc.nat(3), { maxLength: 200, size: 'max' }),
});

test('short and long pieces merge as the definition says', () => {
  const lengths = { short: 0, long: 0 };
  fc.assert(
    fc.property(mergesAndIds, ({ triples, ids }) => {
      lengths[ids.length > 64 ? 'long' : 'short']++;
      const work = Int32Array.from(ids);
      const left = new Merges(Int32Array.from(triples)).apply(work, work.length);
      assert.deepEqual([...work.subarray(0, left)], byDefinition(triples, ids));
    }),
    { numRuns: 2000 },
  );
  assert.ok(lengths.short > 100 && lengths.long > 100, JSON.stringify(lengths));
});

test('the same pair twice is refused: its rank would be ambiguous', () => {
  assert.throws(() => new Merges(Int32Array.of(1, 2, 3, 1, 2, 4)), TokenizerError);
});
