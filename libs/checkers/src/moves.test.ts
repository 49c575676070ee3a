import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { listed } from './board.js';
import { legalMoves, perft } from './moves.js';
import { formatMove, formatPosition, impossible, parsePosition } from './notation.js';
import { after, mirrored, type Position, startPosition } from './position.js';
import { anyPosition } from './testing/positions.js';

/** Lines of 1, 2, … moves from the start, as published (A. Bik, E. Gilbert). */
const published = [7, 49, 302, 1469, 7361, 36768, 179740, 845931];

for (const [i, lines] of published.entries()) {
  test(`${lines} lines of ${i + 1} moves`, () => assert.equal(perft(startPosition, i + 1), lines));
}

const movesOf = (text: string) => legalMoves(parsePosition(text)).map(formatMove);

for (const [rule, position, moves] of [
  ['a capture is forced, whichever', 'B:W15,24:B10,11,1', ['10x19x28', '11x18']],
  ['a jump goes on to its end', 'B:W9,18,26:B5', ['5x14x23x30']],
  ['any of the routes may be taken, a short one too', 'B:W6,7,15,14:B2', ['2x9x18', '2x11x18']],
  ['a man becomes a king and its move ends', 'B:W25,26:B22', ['22x29', '22x31']],
  ['a man captures forwards only', 'B:W14,10:B18', ['18-22', '18-23']],
  ['a king captures and moves backwards too', 'B:W14:BK18', ['18x9']],
  ['a king may end where it began, by either way', 'B:W9,10,17,18:BK6', ['6x13x22x15x6', '6x15x22x13x6']],
  ['no piece is jumped twice', 'B:W10:BK6', ['6x15']],
  ['a side without moves has none', 'B:W5,6,10:B1', []],
] as const) {
  test(rule, () => assert.deepEqual(movesOf(position).sort(), [...moves].sort()));
}

/** The rules once more, with rows, columns and one piece at a time instead of sets of squares. */
function plainMoves(position: Position): string[] {
  const at = (row: number, column: number) => {
    if (row < 0 || row > 7 || column < 0 || column > 7 || (row + column) % 2 === 0) return null;
    return row * 4 + (column >> 1);
  };
  const black = new Set(listed(position.black));
  const white = new Set(listed(position.white));
  const kings = new Set(listed(position.kings));
  const [mine, theirs, ahead] = position.turn === 0 ? [black, white, 1] : [white, black, -1];
  const jumps: string[] = [];
  const steps: string[] = [];
  for (const from of mine) {
    const ways = kings.has(from) ? [1, -1] : [ahead];
    const free = (square: number) => square === from || (!mine.has(square) && !theirs.has(square));
    const go = (square: number, path: number[], taken: Set<number>): void => {
      const row = square >> 2;
      const column = 2 * (square & 3) + (row % 2 === 0 ? 1 : 0);
      let ended = true;
      for (const down of ways) {
        for (const right of [-1, 1]) {
          const near = at(row + down, column + right);
          const far = at(row + 2 * down, column + 2 * right);
          if (near !== null && path.length === 1 && free(near)) steps.push(`${from + 1}-${near + 1}`);
          if (near === null || far === null || !theirs.has(near) || taken.has(near) || !free(far)) continue;
          ended = false;
          go(far, [...path, far], new Set([...taken, near]));
        }
      }
      if (ended && path.length > 1) jumps.push(path.map((each) => each + 1).join('x'));
    };
    go(from, [from], new Set());
  }
  return jumps.length > 0 ? jumps : steps;
}

test('the moves are those of the rules written out square by square', () => {
  fc.assert(
    fc.property(anyPosition, (position) => {
      assert.deepEqual(legalMoves(position).map(formatMove).sort(), plainMoves(position).sort());
    }),
    { numRuns: 3000 },
  );
});

test('from the other side the game is the same', () => {
  fc.assert(
    fc.property(anyPosition, (position) => {
      const turned = (name: string) => name.replaceAll(/\d+/g, (square) => String(33 - Number(square)));
      const names = legalMoves(position).map(formatMove);
      assert.deepEqual(
        legalMoves(mirrored(position))
          .map((move) => turned(formatMove(move)))
          .sort(),
        names.sort(),
      );
    }),
  );
});

test('a move leaves a position that can be, with what it captured gone', () => {
  fc.assert(
    fc.property(anyPosition, (position) => {
      for (const move of legalMoves(position)) {
        const next = after(position, move);
        assert.equal(impossible(next), null, formatPosition(next));
        const pieces = (each: Position) => listed(each.black | each.white).length;
        assert.equal(pieces(next), pieces(position) - listed(move.captured).length);
        assert.equal(next.kings & ~(next.black | next.white), 0);
      }
    }),
  );
});
