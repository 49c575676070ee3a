import { bit, type Squares, turned } from './board.js';

/** Black, whose squares are 1–12 at the start, moves first. */
export const BLACK = 0;
export const WHITE = 1;
export type Colour = typeof BLACK | typeof WHITE;

export const colourNames = ['Black', 'White'] as const;

/** What lies on the board, and who is to move. `kings` are the squares of kings of either colour. */
export interface Position {
  readonly black: Squares;
  readonly white: Squares;
  readonly kings: Squares;
  readonly turn: Colour;
}

/** A move along its squares (from 0); of a jump, every square that it lands on. */
export interface Move {
  readonly path: readonly number[];
  readonly captured: Squares;
}

export const startPosition: Position = { black: 0x00000fff, white: 0xfff00000 | 0, kings: 0, turn: BLACK };

/** Where a man of each colour becomes a king. */
export const kingRow: readonly Squares[] = [0xf0000000 | 0, 0x0000000f];

export function opponent(colour: Colour): Colour {
  return colour === BLACK ? WHITE : BLACK;
}

/** The position after a legal move. A man that reaches the last row is a king. */
export function after({ black, white, kings, turn }: Position, { path, captured }: Move): Position {
  const from = bit(path[0]);
  const to = bit(path[path.length - 1]);
  const mine = ((turn === BLACK ? black : white) & ~from) | to; // a king may end where it began
  const theirs = (turn === BLACK ? white : black) & ~captured;
  const crowned = (kings & from) !== 0 || (to & kingRow[turn]) !== 0;
  const left = kings & ~from & ~captured;
  return {
    black: turn === BLACK ? mine : theirs,
    white: turn === BLACK ? theirs : mine,
    kings: crowned ? left | to : left,
    turn: opponent(turn),
  };
}

/** The same position seen from the other side: colours exchanged and the board turned. */
export function mirrored({ black, white, kings, turn }: Position): Position {
  return { black: turned(white), white: turned(black), kings: turned(kings), turn: opponent(turn) };
}

export function samePosition(a: Position, b: Position): boolean {
  return a.black === b.black && a.white === b.white && a.kings === b.kings && a.turn === b.turn;
}
