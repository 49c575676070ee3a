import { bit, count, listed, SQUARES, type Squares } from './board.js';
import { CheckersError } from './errors.js';
import { legalMoves } from './moves.js';
import { BLACK, type Colour, colourNames, kingRow, type Move, type Position, WHITE } from './position.js';

/** The longest text that is looked at: more than any position or move needs. */
const LONGEST = 400;
const MOST_PIECES = 12;

/** `11-15`, and of a jump every square that it lands on: `1x10x19`. */
export function formatMove({ path, captured }: Move): string {
  return path.map((square) => square + 1).join(captured === 0 ? '-' : 'x');
}

/**
 * The legal move that a text means: all of its squares, or its first and last where they leave no choice.
 * @throws CheckersError where there is none, or more than one
 */
export function parseMove(text: string, position: Position): Move {
  const shown = inQuotes(text);
  const written = text.trim();
  if (written.length > LONGEST || !/^\d{1,2}(\s*[-x:]\s*\d{1,2})+$/i.test(written)) {
    throw new CheckersError(`${shown} is no move: write its squares, as in 11-15 or 15x22`);
  }
  const squares = written.split(/[-x:]/i).map((part) => squareOf(part.trim(), shown));
  const moves = legalMoves(position);
  const whole = moves.find(({ path }) => sameSquares(path, squares));
  if (whole !== undefined) return whole;
  const ends = (path: readonly number[]) => [path[0], path[path.length - 1]];
  const meant = moves.filter(({ path }) => squares.length === 2 && sameSquares(ends(path), squares));
  if (meant.length === 1) return meant[0];
  const names = (list: readonly Move[]) => list.map(formatMove).join(', ');
  if (meant.length > 1) throw new CheckersError(`${shown} may mean ${names(meant)}: write the whole route`);
  if (moves.length === 0) throw new CheckersError(`${shown} cannot be played: there is no legal move`);
  const why = moves[0].captured === 0 ? 'the legal moves are' : 'a capture is forced';
  throw new CheckersError(`${shown} is not legal for ${colourNames[position.turn]}: ${why} ${names(moves)}`);
}

/** A position as PDN writes it (Portable Draughts Notation, FEN tag): `B:W21,22,K30:B1,2`. */
export function formatPosition(position: Position): string {
  const side = (colour: Colour, letter: string) => {
    const pieces = colour === BLACK ? position.black : position.white;
    const names = listed(pieces).map((square) => `${position.kings & bit(square) ? 'K' : ''}${square + 1}`);
    return `${letter}${names.join(',')}`;
  };
  return `${'BW'[position.turn]}:${side(WHITE, 'W')}:${side(BLACK, 'B')}`;
}

/**
 * Reads what `formatPosition` writes; the sides in either order, ranges like `1-12`, and a full stop at its end too.
 * @throws CheckersError where it is no position, or one that cannot be
 */
export function parsePosition(text: string): Position {
  const shown = inQuotes(text);
  const fault = (why: string) => new CheckersError(`${shown} is no checkers position: ${why}`);
  const written = text.trim().toUpperCase();
  const match = /^([BW]):([BW])([^:]*):([BW])([^:]*?)\.?$/.exec(written);
  if (written.length > LONGEST || match === null || match[2] === match[4]) {
    throw fault('write who is to move and the squares of both, as in B:W21,22,K30:B1,2');
  }
  const [, turn, first, ofFirst, , ofSecond] = match;
  const one = parseSide(ofFirst, shown);
  const other = parseSide(ofSecond, shown);
  const [black, white] = first === 'B' ? [one, other] : [other, one];
  const position: Position = {
    black: black.pieces,
    white: white.pieces,
    kings: black.kings | white.kings,
    turn: turn === 'B' ? BLACK : WHITE,
  };
  const why = impossible(position);
  if (why !== null) throw fault(why);
  return position;
}

/** Why a position can come up in no game; null where nothing speaks against it. */
export function impossible({ black, white, kings }: Position): string | null {
  const both = black & white;
  if (both !== 0) return `square ${listed(both)[0] + 1} has a piece of each colour`;
  if ((black | white) === 0) return 'it has no piece at all';
  for (const [colour, pieces] of [black, white].entries()) {
    if (count(pieces) > MOST_PIECES) return `${colourNames[colour]} has more than ${MOST_PIECES} pieces`;
    const stray = pieces & ~kings & kingRow[colour];
    if (stray !== 0) return `the man of ${colourNames[colour]} on ${listed(stray)[0] + 1} would be a king`;
  }
  return null;
}

function parseSide(text: string, shown: string): { pieces: Squares; kings: Squares } {
  let pieces = 0;
  let kings = 0;
  for (const part of text === '' ? [] : text.split(',')) {
    const match = /^\s*(K?)(\d{1,2})(?:-(\d{1,2}))?\s*$/.exec(part);
    if (match === null) {
      throw new CheckersError(
        `${shown} is no checkers position: ${inQuotes(part)} is no square or range of squares`,
      );
    }
    const [, king, low, high] = match;
    const last = squareOf(high ?? low, shown);
    for (let square = squareOf(low, shown); square <= last; square++) {
      if (pieces & bit(square)) {
        throw new CheckersError(`${shown} is no checkers position: square ${square + 1} is named twice`);
      }
      pieces |= bit(square);
      if (king !== '') kings |= bit(square);
    }
  }
  return { pieces, kings };
}

function squareOf(text: string, shown: string): number {
  const number = Number(text);
  if (number >= 1 && number <= SQUARES) return number - 1;
  throw new CheckersError(`${shown} names square ${number}: they are 1 to ${SQUARES}`);
}

function sameSquares(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((square, i) => square === b[i]);
}

/** A text in quotes, as far as a line has room for it, with nothing in it that a terminal would obey. */
function inQuotes(text: string): string {
  const short = text.length > 60 ? `${text.slice(0, 60)}…` : text;
  return JSON.stringify(short).replaceAll(/[\u007f-\u009f]/g, '?');
}
