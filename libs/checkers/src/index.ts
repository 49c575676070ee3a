export { bit, count, listed, SQUARES, type Squares } from './board.js';
export { CheckersError } from './errors.js';
export { type Game, newGame, play, QUIET_MOVES, type Result, result, scoreOf } from './game.js';
export { legalMoves, perft } from './moves.js';
export { formatMove, formatPosition, impossible, parseMove, parsePosition } from './notation.js';
export {
  after,
  BLACK,
  type Colour,
  colourNames,
  type Move,
  mirrored,
  opponent,
  type Position,
  samePosition,
  startPosition,
  WHITE,
} from './position.js';
