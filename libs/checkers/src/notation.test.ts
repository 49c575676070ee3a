import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CheckersError } from './errors.js';
import { legalMoves } from './moves.js';
import { formatMove, formatPosition, parseMove, parsePosition } from './notation.js';
import { startPosition } from './position.js';
import { anyPosition } from './testing/positions.js';

test('the start is written as PDN writes it, and read with ranges too', () => {
  const text = 'B:W21,22,23,24,25,26,27,28,29,30,31,32:B1,2,3,4,5,6,7,8,9,10,11,12';
  assert.equal(formatPosition(startPosition), text);
  assert.deepEqual(parsePosition(' b:b1-12:w21-32. '), startPosition);
});

test('what is written is read as the same', () => {
  fc.assert(
    fc.property(anyPosition, (position) => {
      assert.deepEqual(parsePosition(formatPosition(position)), position);
      for (const move of legalMoves(position)) assert.deepEqual(parseMove(formatMove(move), position), move);
    }),
  );
});

for (const [text, why] of [
  ['', /who is to move/],
  ['B:W21', /who is to move/],
  ['B:W21:W22', /who is to move/],
  ['X:W21:B1', /who is to move/],
  [`B:W21:B${'1,'.repeat(300)}`, /who is to move/],
  ['B:W33:B1', /square 33: they are 1 to 32/],
  ['B:W0:B1', /square 0/],
  ['B:W21,,22:B1', /"" is no square/],
  ['B:WQ21:B1', /"Q21" is no square/],
  ['B:W21,21:B1', /square 21 is named twice/],
  ['B:W21:B21', /square 21 has a piece of each colour/],
  ['B:W:B', /no piece at all/],
  ['B:W1:B5', /man of White on 1 would be a king/],
  ['B:W21:B29', /man of Black on 29 would be a king/],
  ['B:W32:B1-13', /Black has more than 12/],
] as const) {
  test(`no position: ${text.slice(0, 20)}`, () => {
    assert.throws(() => parsePosition(text), { name: 'CheckersError', message: why });
  });
}

for (const [text, position, why] of [
  ['', startPosition, /no move: write its squares/],
  ['eleven', startPosition, /no move/],
  ['11', startPosition, /no move/],
  ['11-33', startPosition, /square 33/],
  ['11-14', startPosition, /not legal for Black: the legal moves are 9-13, /],
  ['1-5', parsePosition('B:W10:B6,1'), /a capture is forced 6x15/],
  ['2x18', parsePosition('B:W6,7,14,15:B2'), /may mean 2x9x18, 2x11x18: write the whole route/],
  ['1-5', parsePosition('B:W5,6,10:B1'), /there is no legal move/],
] as const) {
  test(`no move: ${text}`, () => {
    assert.throws(() => parseMove(text, position), { name: 'CheckersError', message: why });
  });
}

test('a jump may be named by its ends where they leave no choice', () => {
  assert.equal(formatMove(parseMove('5x30', parsePosition('B:W9,18,26:B5'))), '5x14x23x30');
});

test('any text is a position, a move, or one sentence', () => {
  const text = fc.oneof(fc.string(), fc.stringMatching(/^[BW]:[BW][K0-9,-]{0,12}:[BW][K0-9,-]{0,12}$/));
  fc.assert(
    fc.property(text, (each) => {
      for (const parse of [() => parsePosition(each), () => parseMove(each, startPosition)]) {
        try {
          parse();
        } catch (error) {
          assert.ok(error instanceof CheckersError, String(error));
          assert.ok(error.message.length < 400 && !/\p{Cc}/u.test(error.message), error.message);
        }
      }
    }),
    { numRuns: 2000 },
  );
});
