import { bit } from './board.js';
import { legalMoves } from './moves.js';
import {
  after,
  BLACK,
  type Colour,
  type Move,
  opponent,
  type Position,
  samePosition,
  startPosition,
} from './position.js';

/** A draw after so many moves of each side without a capture and without a man that moved. */
export const QUIET_MOVES = 40;

/** A game at one of its moments. */
export interface Game {
  readonly position: Position;
  /** The positions before this one since the last capture or move of a man, oldest first: none of them can come again
   *  once there is another. */
  readonly since: readonly Position[];
}

export interface Result {
  /** null is a draw. */
  readonly winner: Colour | null;
  /** Why, as the end of a sentence. */
  readonly reason: string;
}

export function newGame(position: Position = startPosition): Game {
  return { position, since: [] };
}

/** The game after one of its legal moves. */
export function play({ position, since }: Game, move: Move): Game {
  const final = move.captured !== 0 || (position.kings & bit(move.path[0])) === 0;
  return { position: after(position, move), since: final ? [] : [...since, position] };
}

/** How the game has ended; null while it goes on. Who cannot move, for want of pieces or of squares, has lost. */
export function result({ position, since }: Game): Result | null {
  const { turn } = position;
  if (legalMoves(position).length === 0) {
    const pieces = turn === BLACK ? position.black : position.white;
    return {
      winner: opponent(turn),
      reason: pieces === 0 ? 'no piece of the other is left' : 'the other cannot move',
    };
  }
  if (since.filter((earlier) => samePosition(earlier, position)).length >= 2) {
    return { winner: null, reason: 'the same position three times' };
  }
  if (since.length >= 2 * QUIET_MOVES) {
    return {
      winner: null,
      reason: `${QUIET_MOVES} moves of each without a capture or a man that moved`,
    };
  }
  return null;
}

/** What a result is worth to a colour: 1, 0 or −1. */
export function scoreOf({ winner }: Result, colour: Colour): number {
  return winner === null ? 0 : winner === colour ? 1 : -1;
}
