import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Game, newGame, play, QUIET_MOVES, result, scoreOf } from './game.js';
import { parseMove, parsePosition } from './notation.js';
import { BLACK, WHITE } from './position.js';

/** The game after so many moves, one text each. */
const played = (game: Game, ...moves: readonly string[]) =>
  moves.reduce((each, move) => play(each, parseMove(move, each.position)), game);

test('who has no piece left has lost, and who cannot move', () => {
  const taken = result(played(newGame(parsePosition('B:W15:B11')), '11x18'));
  assert.deepEqual([taken?.winner, taken && scoreOf(taken, WHITE)], [BLACK, -1]);
  const shut = result(newGame(parsePosition('B:W5,6,10:B1')));
  assert.deepEqual([shut?.winner, shut?.reason], [WHITE, 'the other cannot move']);
});

const kings = newGame(parsePosition('B:WK30:BK1'));
const there = ['1-5', '30-25', '5-1', '25-30'];

test('the third time of a position is a draw, and not the second', () => {
  const second = played(kings, ...there);
  assert.equal(result(second), null);
  const third = result(played(second, ...there));
  assert.deepEqual(third && [third.winner, scoreOf(third, BLACK)], [null, 0]);
});

test('the same squares with the other side to move are another position', () => {
  // Black loses a move on its way round: White is to move where Black was.
  assert.equal(result(played(kings, '1-6', '30-26', '6-10', '26-30', '10-6', '30-26', '6-1', '26-30')), null);
});

test('a capture, or a man that moves, begins the count anew', () => {
  const game = newGame(parsePosition('B:WK30,21:BK1,9'));
  assert.equal(played(game, ...there).since.length, 4);
  assert.equal(played(game, ...there, '9-14').since.length, 0);
  const near = played(newGame(parsePosition('B:WK25:BK1,K14')), '1-5', '25-22', '5-1', '22-18');
  assert.deepEqual([near.since.length, played(near, '14x23').since.length], [4, 0]);
});

test(`${QUIET_MOVES} moves of each without either are a draw`, () => {
  // Positions that never come again, as far as the rule is concerned.
  const { position } = kings;
  const moment = (quiet: number): Game => ({
    position,
    since: Array.from({ length: quiet }, () => parsePosition('B:WK32:BK3')),
  });
  assert.equal(result(moment(2 * QUIET_MOVES - 1)), null);
  assert.match(result(moment(2 * QUIET_MOVES))?.reason ?? '', /^40 moves/);
});
