import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BLACK, formatPosition, legalMoves, linear, startWeights } from '@manyhands/checkers';
import { randomStream } from '@manyhands/core/numeric';
import fc from 'fast-check';
import { lambdaReturns, selfPlay } from './self-play.js';

const evaluate = linear(startWeights);
const options = { depth: 2, openingMoves: 4, exploration: 0.1, lambda: 0.8, maxMoves: 200 };
const gameOf = (seed: number, changes: object = {}) =>
  selfPlay(evaluate, { ...options, ...changes }, randomStream(seed, 1));

const probability = fc.double({ min: 0, max: 1, noNaN: true });

describe('a game against oneself', () => {
  it('is the same for the same weights and random numbers, and another for others', () => {
    const told = (seed: number) => gameOf(seed).map((one) => [formatPosition(one.position), one.target]);
    assert.deepEqual(told(1), told(1));
    assert.notDeepEqual(told(1), told(2));
  });

  it('teaches quiet positions alone, with probabilities', () => {
    for (const { position, target } of gameOf(3)) {
      assert.ok(legalMoves(position).every(({ captured }) => captured === 0));
      assert.ok(target >= 0 && target <= 1);
    }
  });

  it('teaches the result alone where λ is 1 and no move was drawn', () => {
    const results = [1, 2, 3, 4, 5, 6].map((seed) => {
      const seen = gameOf(seed, { lambda: 1, exploration: 0 }).map(({ position, target }) =>
        position.turn === BLACK ? target : 1 - target,
      );
      assert.ok(seen.length > 10);
      assert.equal(new Set(seen).size, 1);
      return seen[0];
    });
    assert.ok(results.every((result) => [0, 0.5, 1].includes(result)));
    assert.ok(new Set(results).size > 1);
  });

  it('is broken off after so many moves, and then ends as the last search thought', () => {
    const cut = gameOf(5, { maxMoves: 12, lambda: 1, exploration: 0 });
    assert.ok(cut.length <= 12);
    assert.ok(cut.every(({ target }) => target > 0 && target < 1));
  });
});

describe('λ-returns', () => {
  it('are the forward view: every later search, and the result, by how far ahead it is', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ searched: probability, drawn: fc.boolean() }), { minLength: 1, maxLength: 20 }),
        probability,
        probability,
        (moments, result, lambda) => {
          const targets = lambdaReturns(moments, result, lambda);
          for (const [t, target] of targets.entries()) {
            let expected = 0;
            let share = 1;
            let at = t;
            // What follows a drawn move tells nothing of what was before it.
            for (; at < moments.length && !moments[at].drawn; at++) {
              expected += share * (1 - lambda) * moments[at].searched;
              share *= lambda;
            }
            expected += share * (at < moments.length ? moments[at].searched : result);
            assert.ok(Math.abs(target - expected) < 1e-12);
          }
        },
      ),
    );
  });
});
