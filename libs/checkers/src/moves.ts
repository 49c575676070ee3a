import { bit, lowest, opposite, SQUARES, type Squares, shift } from './board.js';
import { after, BLACK, type Colour, type Move, type Position } from './position.js';

/** The directions of a man of each colour, and then those that only a king has besides. */
const forward: readonly (readonly number[])[] = [
  [0, 1],
  [2, 3],
];
const directions = [0, 1, 2, 3];

/** By direction and square: the step and the jump that begin there; undefined where they would leave the board. */
const steps = directions.map((d) => Array.from({ length: SQUARES }, (_, from) => moveBy(from, d, 1)));
const jumps = directions.map((d) => Array.from({ length: SQUARES }, (_, from) => moveBy(from, d, 2)));

function moveBy(from: number, direction: number, distance: 1 | 2): Move | undefined {
  const next = shift[direction](bit(from));
  const to = distance === 1 ? next : shift[direction](next);
  return to === 0 ? undefined : { path: [from, lowest(to)], captured: distance === 1 ? 0 : next };
}

/** The pieces of `colour` that can step onto an empty square. */
export function steppers(position: Position, colour: Colour): Squares {
  const { mine, empty, kings } = seenBy(position, colour);
  let found = 0;
  for (const d of directions) {
    const able = forward[colour].includes(d) ? mine : mine & kings;
    found |= able & shift[opposite(d)](empty);
  }
  return found;
}

/** The pieces of `colour` that can jump a piece of the other. */
export function jumpers(position: Position, colour: Colour): Squares {
  const { mine, theirs, empty, kings } = seenBy(position, colour);
  let found = 0;
  for (const d of directions) {
    const able = forward[colour].includes(d) ? mine : mine & kings;
    const back = shift[opposite(d)];
    found |= able & back(theirs & back(empty));
  }
  return found;
}

/**
 * Every legal move, in an order that depends on the position alone; none where the side to move has lost. Where a
 * piece can be captured, one must be, and a jump goes on while it can: each of its routes is a move.
 */
export function legalMoves(position: Position): Move[] {
  const found = captures(position);
  return found.length > 0 ? found : quietMoves(position);
}

/** The moves that capture. */
export function captures(position: Position): Move[] {
  const { turn, kings } = position;
  const moves: Move[] = [];
  for (let left = jumpers(position, turn); left !== 0; left &= left - 1) {
    const from = lowest(left);
    const { theirs, empty } = seenBy(position, turn);
    // The square that a piece leaves is free for it to land on, and what it has jumped lies there until it ends.
    const board = { theirs, free: empty | bit(from), ways: kings & bit(from) ? directions : forward[turn] };
    jumpOn({ path: [from], captured: 0 }, board, moves);
  }
  return moves;
}

/** A man's jump ends on the last row by itself: its directions lead no further, and it is a king only after the move. */
function jumpOn(
  { path, captured }: Move,
  board: { readonly theirs: Squares; readonly free: Squares; readonly ways: readonly number[] },
  moves: Move[],
): void {
  let ended = true;
  for (const direction of board.ways) {
    const next = jumps[direction][path[path.length - 1]];
    if (next === undefined || (next.captured & board.theirs & ~captured) === 0) continue;
    if ((bit(next.path[1]) & board.free) === 0) continue;
    ended = false;
    jumpOn({ path: [...path, next.path[1]], captured: captured | next.captured }, board, moves);
  }
  if (ended) moves.push({ path, captured });
}

function quietMoves(position: Position): Move[] {
  const { turn, kings } = position;
  const { empty } = seenBy(position, turn);
  const moves: Move[] = [];
  for (let left = steppers(position, turn); left !== 0; left &= left - 1) {
    const from = lowest(left);
    for (const direction of kings & bit(from) ? directions : forward[turn]) {
      const step = steps[direction][from];
      if (step !== undefined && (bit(step.path[1]) & empty) !== 0) moves.push(step);
    }
  }
  return moves;
}

function seenBy({ black, white, kings }: Position, colour: Colour) {
  const [mine, theirs] = colour === BLACK ? [black, white] : [white, black];
  return { mine, theirs, empty: ~(black | white), kings };
}

/** How many lines of `depth` moves there are: what tells whether a generator of moves is right. */
export function perft(position: Position, depth: number): number {
  if (depth === 0) return 1;
  const moves = legalMoves(position);
  if (depth === 1) return moves.length;
  return moves.reduce((sum, move) => sum + perft(after(position, move), depth - 1), 0);
}
