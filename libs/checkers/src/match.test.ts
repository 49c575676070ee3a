import assert from 'node:assert/strict';
import { test } from 'node:test';
import { linear, startWeights } from './evaluation.js';
import { result } from './game.js';
import { openings, type Player, playMatch, randomPlayer, searchPlayer } from './match.js';

const evaluate = linear(startWeights);

test('a search of 300 nodes wins 99 of 100 games against random moves', () => {
  const match = playMatch(searchPlayer(evaluate, { nodes: 300 }), randomPlayer, { games: 100, seed: 1 });
  assert.ok(match.score >= 0.99, JSON.stringify(match));
});

test('an interval is as wide as so few games make it, also where all were won', () => {
  const { low, score, high } = playMatch(searchPlayer(evaluate, { nodes: 300 }), randomPlayer, {
    games: 10,
    seed: 1,
  });
  // Wilson's interval of 10 of 10, as tables of it have it.
  assert.deepEqual([score, high], [1, 1]);
  assert.ok(Math.abs(low - 0.7225) < 1e-4, `${low}`);
});

test('the same player on both sides scores a half, since colours are exchanged', () => {
  const player = searchPlayer(evaluate, { depth: 3 });
  const stands: number[] = [];
  const match = playMatch(player, player, {
    games: 20,
    seed: 2,
    onGame: ({ wins, draws, losses }) => stands.push(wins + draws + losses),
  });
  assert.deepEqual([match.score, match.wins + match.draws + match.losses], [0.5, 20]);
  assert.deepEqual(
    stands,
    Array.from({ length: 20 }, (_, i) => i + 1),
  );
});

test('a match is the same each time, and another one with another seed', () => {
  const play = (seed: number) =>
    playMatch(searchPlayer(evaluate, { nodes: 50 }), randomPlayer, { games: 6, seed });
  assert.deepEqual(play(1), play(1));
  assert.notDeepEqual(play(1), play(2));
});

test('looking further ahead wins', () => {
  const [far, near]: Player[] = [6, 1].map((depth) => searchPlayer(evaluate, { depth }));
  const { low, score, high } = playMatch(far, near, { games: 40, seed: 3 });
  assert.ok(0.5 < low && low < score && score < high && high < 1, `${low} ${score} ${high}`);
});

test('openings are different positions in which the game goes on', () => {
  const games = openings(200, 1);
  const names = new Set(games.map(({ position }) => JSON.stringify(position)));
  assert.equal(names.size, 200);
  assert.ok(games.every((game) => result(game) === null));
  assert.notDeepEqual(openings(200, 2), games);
});

test('a match of an odd number of games, or none, is refused', () => {
  for (const games of [0, 1, 3, 2.5, Number.NaN]) {
    assert.throws(() => playMatch(randomPlayer, randomPlayer, { games, seed: 1 }), /even number/);
  }
});
