import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Evaluate, linear, weightsOf } from './evaluation.js';
import { newGame, play } from './game.js';
import { captures, legalMoves } from './moves.js';
import { formatMove, parseMove, parsePosition } from './notation.js';
import { after, type Position, startPosition } from './position.js';
import { decided, search, WON } from './search.js';
import { AT_LEAST, EXACT, Table, zobrist } from './table.js';
import { anyPosition } from './testing/positions.js';

const evaluate = linear(
  weightsOf({ men: 1, kings: 1.5, mobility: 0.01, centre: 0.03, advancement: 0.02, turn: 0.1 }),
);

/** The value by looking at every line, captures to their end. */
function minimax(position: Position, depth: number, ply = 0): number {
  const moves = legalMoves(position);
  if (moves.length === 0) return ply - WON;
  if (depth === 0 && captures(position).length === 0) return evaluate(position);
  return Math.max(...moves.map((move) => -minimax(after(position, move), Math.max(0, depth - 1), ply + 1)));
}

/** Lines of three moves end before a position can come again. */
test('alpha-beta with its table finds the value that looking at every line finds', () => {
  fc.assert(
    fc.property(anyPosition, fc.integer({ min: 1, max: 3 }), (position, depth) => {
      if (legalMoves(position).length === 0) return;
      const { value, move } = search(newGame(position), { depth, evaluate });
      // A game that is decided early is not looked at further.
      if (decided(value)) return;
      assert.equal(value, minimax(position, depth) + 0);
      assert.equal(value, -minimax(after(position, move), depth - 1, 1) + 0);
    }),
    { numRuns: 200 },
  );
});

test('the same at greater depth, from the start', () => {
  assert.equal(search(newGame(), { depth: 7, evaluate }).value, minimax(startPosition, 7));
});

test('the line that is expected can be played, and comes to the value', () => {
  const { line, value, depth } = search(newGame(), { depth: 8, evaluate });
  assert.equal(line.length, depth);
  const last = line.reduce((game, move) => play(game, parseMove(formatMove(move), game.position)), newGame());
  assert.equal(value, minimax(last.position, 0));
});

test('a search with a limit of nodes is the same each time, and keeps to it', () => {
  for (const nodes of [1, 100, 5000]) {
    const [one, other] = [1, 2].map(() => search(newGame(), { nodes, evaluate }));
    assert.deepEqual(one, other);
    assert.ok(one.nodes <= Math.max(nodes + 1, 20), `${one.nodes}`);
    assert.ok(one.line.length >= 1);
  }
});

test('a search that is told to stop keeps what the last whole round found', () => {
  let asked = 0;
  const { depth, move } = search(newGame(), { evaluate, stop: () => ++asked === 20 });
  assert.equal(asked, 20);
  assert.deepEqual(move, search(newGame(), { depth, evaluate }).move);
});

test('a win is found, the nearer the better, and its moves are counted', () => {
  const { value, line } = search(newGame(parsePosition('B:W15,24:B10')), { depth: 9, evaluate });
  assert.deepEqual([value, line.map(formatMove)], [WON - 1, ['10x19x28']]);
  // A king against a man that must walk into it.
  const hunt = search(newGame(parsePosition('W:W32:BK23')), { depth: 12, evaluate });
  assert.ok(hunt.value < -WON + 5, `${hunt.value}`);
});

test('who is behind goes for the draw by repetition that it can have', () => {
  const game = ['1-5', '30-25', '5-1', '25-30'].reduce(
    (each, move) => play(each, parseMove(move, each.position)),
    newGame(parsePosition('B:WK30:BK1')),
  );
  // Whoever is to move likes it: every move but the one that repeats looks bad.
  const evaluate: Evaluate = () => 5;
  const { value, move } = search(game, { depth: 1, evaluate });
  assert.deepEqual([value, formatMove(move)], [0, '1-5']);
  assert.equal(search(newGame(game.position), { depth: 1, evaluate }).value, -5);
});

test('limits and values that cannot be are refused', () => {
  assert.throws(() => search(newGame(), { evaluate }), /needs a limit/);
  for (const depth of [0, 1.5, 61, Number.NaN]) {
    assert.throws(() => search(newGame(), { evaluate, depth }), /from 1 to 60/);
  }
  assert.throws(() => search(newGame(), { evaluate, nodes: 0 }), /1 or more/);
  for (const value of [Number.NaN, 101, Number.POSITIVE_INFINITY]) {
    assert.throws(() => search(newGame(), { depth: 2, evaluate: () => value }), { name: 'CheckersError' });
  }
  assert.throws(
    () => search(newGame(parsePosition('B:W5,6,10:B1')), { depth: 2, evaluate }),
    /no legal move/,
  );
});

test('a table knows what was put in, of that very position, and keeps the deepest', () => {
  fc.assert(
    fc.property(fc.array(anyPosition, { minLength: 2, maxLength: 40 }), (positions) => {
      const table = new Table({ bits: 1 });
      for (const [i, position] of positions.entries()) {
        table.set(position, { value: i, bound: AT_LEAST, depth: i % 7, best: i });
        assert.deepEqual(table.get(position), { value: i, bound: AT_LEAST, depth: i % 7, best: i });
      }
      for (const position of positions) {
        const known = table.get(position);
        if (known !== null) assert.deepEqual(positions[known.value], position);
      }
    }),
  );
  const table = new Table({ bits: 1 });
  const deep = { value: -WON, bound: EXACT, depth: 60, best: 200 } as const;
  table.set(startPosition, deep);
  fc.assert(
    fc.property(anyPosition, (position) => {
      table.set(position, { value: 0, bound: EXACT, depth: 3, best: 0 });
      assert.deepEqual(table.get(startPosition), deep);
    }),
  );
});

test('a hash is the exclusive or over pieces: what a square adds does not depend on the others', () => {
  const hash = zobrist(7);
  const square = fc.nat(31);
  fc.assert(
    fc.property(anyPosition, anyPosition, square, (a, b, at) => {
      for (const field of ['black', 'white', 'kings'] as const) {
        const flip = (position: Position) =>
          hash({ ...position, [field]: position[field] ^ (1 << at) }) ^ hash(position);
        assert.equal(flip(a), flip(b));
        assert.notEqual(flip(a), 0);
      }
    }),
  );
  assert.notEqual(hash(startPosition), zobrist(8)(startPosition));
});
