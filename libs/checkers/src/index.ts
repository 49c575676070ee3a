export { bit, count, listed, SQUARES, type Squares } from './board.js';
export { CheckersError } from './errors.js';
export {
  ENCODED,
  type Evaluate,
  encode,
  GREATEST,
  linear,
  startWeights,
  weightsOf,
} from './evaluation.js';
export { type FeatureName, featureMeanings, featureNames, features } from './features.js';
export { type Game, newGame, play, QUIET_MOVES, type Result, result, scoreOf } from './game.js';
export {
  type Match,
  type MatchOptions,
  openings,
  type Player,
  playGame,
  playMatch,
  randomPlayer,
  searchPlayer,
} from './match.js';
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
export { type Random, randomOf, shuffled } from './random.js';
export { decided, type Found, MOST_DEPTH, type SearchOptions, search, WON } from './search.js';
export { Table, zobrist } from './table.js';
export { valueInWords } from './words.js';
