import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { likeliestNext } from './bigram.js';

const vocab = 5;

/** Training tokens of one source, as they would lie on disk. */
function dataOf(tokens: readonly number[]): Parameters<typeof likeliestNext>[0] {
  const split = (count: number) => ({ tokens: count, bytes: count, documents: 1 });
  return {
    vocab,
    sources: [{ name: 'a', path: 'a', weight: 1, train: split(tokens.length), validation: split(0) }],
    tokens: ({ offset }, context) =>
      Int32Array.from({ length: context + 1 }, (_, at) => tokens[offset + at] ?? -1),
  };
}

test('the likeliest next token is the one that a plain count finds, of equals the lowest', () => {
  const text = fc.array(fc.nat(vocab - 1), { minLength: 2, maxLength: 300 });
  // Longer than the stretches in which the data are read, with most of the pairs at their seam.
  const long = fc
    .array(fc.nat(1), { minLength: 4, maxLength: 4 })
    .map((tail) => [...new Array(4095).fill(2), ...[3, 4, ...tail]]);
  fc.assert(
    fc.property(fc.oneof({ weight: 9, arbitrary: text }, long), (tokens) => {
      const next = likeliestNext(dataOf(tokens));
      for (let id = 0; id < vocab; id++) {
        const counts = new Array(vocab).fill(0);
        for (let at = 1; at < tokens.length; at++) if (tokens[at - 1] === id) counts[tokens[at]] += 1;
        const most = Math.max(...counts);
        assert.equal(next[id], most === 0 ? -1 : counts.indexOf(most));
      }
    }),
  );
});
