import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { count, listed } from './board.js';
import { ENCODED, encode, GREATEST, linear, startWeights, weightsOf } from './evaluation.js';
import { type FeatureName, featureMeanings, featureNames, features } from './features.js';
import { legalMoves } from './moves.js';
import { parsePosition } from './notation.js';
import { BLACK, mirrored, opponent, type Position, startPosition } from './position.js';
import { anyPosition } from './testing/positions.js';

const named = (position: Position) =>
  Object.fromEntries(featureNames.map((name, i) => [name, features(position)[i]])) as Record<
    FeatureName,
    number
  >;

test('a position and its mirror image have the same features and the same code', () => {
  fc.assert(
    fc.property(anyPosition, (position) => {
      assert.deepEqual(features(mirrored(position)), features(position));
      assert.deepEqual(encode(mirrored(position)), encode(position));
    }),
  );
});

test('what is mine less the other’s is the other way round where the other is to move', () => {
  fc.assert(
    fc.property(anyPosition, (position) => {
      const mine = named(position);
      const theirs = named({ ...position, turn: opponent(position.turn) });
      for (const name of featureNames) {
        const sign = name === 'turn' || name === 'move' ? 1 : -1;
        assert.equal(mine[name] + 0, sign * theirs[name] + 0, name);
      }
    }),
  );
});

test('the counts are those of the pieces, rows and moves', () => {
  fc.assert(
    fc.property(anyPosition, (position) => {
      const found = named(position);
      const sides = [position.turn, opponent(position.turn)].map((turn) => {
        const mine = listed(turn === BLACK ? position.black : position.white);
        const men = mine.filter((square) => (position.kings & (1 << square)) === 0);
        const row = (square: number) => (turn === BLACK ? square >> 2 : 7 - (square >> 2));
        const moves = legalMoves({ ...position, turn });
        const jumps = moves.filter(({ captured }) => captured !== 0);
        const centre = [10, 11, 14, 15, 18, 19, 22, 23].map((number) => number - 1);
        return {
          men: men.length,
          kings: mine.length - men.length,
          advancement: men.reduce((sum, square) => sum + row(square), 0),
          backRow: men.filter((square) => row(square) === 0).length,
          centre: men.filter((square) => centre.includes(square)).length,
          kingCentre: mine.filter((square) => centre.includes(square) && !men.includes(square)).length,
          edge: mine.filter((square) => [3, 4].includes(square % 8)).length,
          threat: new Set(jumps.map(({ path }) => path[0])).size,
          // Steps are no moves where a capture is forced.
          mobility: jumps.length > 0 ? null : moves.length,
        };
      });
      const [mine, theirs] = sides;
      for (const name of Object.keys(mine) as (keyof typeof mine)[]) {
        const [a, b] = [mine[name], theirs[name]];
        if (a !== null && b !== null) assert.equal(found[name], a - b, name);
      }
      assert.ok(found.safeMobility <= count(-1) && Number.isFinite(found.advantage));
    }),
  );
});

for (const [name, position, value] of [
  ['bridge', 'B:W32:B1,3', 1],
  ['bridge', 'B:W30,32:B1,3', 0],
  ['triangle', 'B:W32:B2,3,7', 1],
  ['blocked', 'B:W8,11:B4', 1],
  ['crowning', 'W:W9,32:B28,27', -1],
  ['exposure', 'B:W32:B15', 1],
  ['move', 'B:W30:B1', 1],
  ['move', 'B:W30:B5', -1],
  ['advantage', 'B:W32:BK1', Math.fround(0.2)],
] as const) {
  test(`${name} of ${position} is ${value}`, () => {
    assert.equal(named(parsePosition(position))[name], value);
  });
}

test('a step onto a square where the piece would be captured is no safe one', () => {
  const { mobility, safeMobility } = named(parsePosition('B:W22,32:B14'));
  // 14 has two steps, 17 and 18, and both lie before 22; 22 has two, 17 and 18, before 14; 32 has two.
  assert.deepEqual([mobility, safeMobility], [-2, -2]);
});

test('at the start all is even but the turn and the move', () => {
  const found = named(startPosition);
  assert.deepEqual(
    featureNames.filter((name) => found[name] !== 0),
    ['move', 'turn'],
  );
});

test('a code has a one for every piece, in the plane of its kind', () => {
  const code = encode(parsePosition('W:W32,K31:B1'));
  assert.equal(code.length, ENCODED);
  // Turned: 32 becomes 1, 31 becomes 2, 1 becomes 32.
  assert.deepEqual(
    [...code.keys()].filter((i) => code[i] !== 0),
    [0, 32 + 1, 64 + 31],
  );
});

test('the value is the weighted sum', () => {
  const value = linear(weightsOf({ men: 1, kings: 2, turn: 0.25 }));
  assert.equal(value(parsePosition('B:W31,32:BK1,2')), 1.25);
  assert.equal(linear(startWeights)(parsePosition('B:W31,32:BK1,2')), 0.5);
  assert.equal(linear(weightsOf({ men: -1e9 }))(parsePosition('B:W32:B1,2')), -GREATEST);
});

test('every feature has its meaning', () => {
  assert.deepEqual(Object.keys(featureMeanings), [...featureNames]);
});
