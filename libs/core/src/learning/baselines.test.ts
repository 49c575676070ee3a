import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NgramModel } from './index.js';

/** Witten and Bell's formula read off the text itself: every count is taken anew by looking at the whole text. */
function plainProbability(
  text: readonly number[],
  vocab: number,
  before: readonly number[],
  token: number,
): number {
  const { length } = before;
  const ends = [...text.keys()].filter(
    (at) => at > 0 && at >= length && before.every((id, i) => text[at - length + i] === id),
  );
  const followers = ends.map((at) => text[at]);
  const count = followers.filter((id) => id === token).length;
  if (length === 0) return (count + 1) / (followers.length + vocab);
  const shorter = plainProbability(text, vocab, before.slice(1), token);
  const kinds = new Set(followers).size;
  return kinds === 0 ? shorter : (count + kinds * shorter) / (followers.length + kinds);
}

const text = fc.array(fc.nat(2), { minLength: 2, maxLength: 40 });

test('the surprise of every order is that of the plain formula, with few n-grams and with many', () => {
  fc.assert(
    fc.property(
      text,
      text,
      fc.integer({ min: 1, max: 5 }),
      fc.constantFrom(3, 1100),
      (learned, read, order, vocab) => {
        const model = new NgramModel(vocab, order);
        model.learn(learned);
        const sums = new Float64Array(order);
        assert.equal(model.surprise(read, sums), read.length - 1);
        for (let n = 1; n <= order; n++) {
          const expected = read.slice(1).reduce((sum, token, i) => {
            const before = read.slice(Math.max(0, i + 1 - (n - 1)), i + 1);
            return sum - Math.log(plainProbability(learned, vocab, before, token));
          }, 0);
          assert.ok(Math.abs(sums[n - 1] - expected) < 1e-9 * (1 + expected), `order ${n}`);
        }
      },
    ),
  );
});

test('after any context the probabilities of all tokens add up to one', () => {
  fc.assert(
    fc.property(text, text, fc.integer({ min: 1, max: 5 }), (learned, before, order) => {
      const model = new NgramModel(3, order);
      model.learn(learned);
      const sum = [0, 1, 2].reduce((total, token) => {
        const [all, start] = [new Float64Array(order), new Float64Array(order)];
        model.surprise([...before, token], all);
        model.surprise(before, start);
        return total + Math.exp(start[order - 1] - all[order - 1]);
      }, 0);
      assert.ok(Math.abs(sum - 1) < 1e-9, `${sum}`);
    }),
  );
});

test('an order that cannot be numbered is refused', () => {
  assert.throws(() => new NgramModel(100_000, 4), RangeError);
});
