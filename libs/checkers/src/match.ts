import type { Evaluate } from './evaluation.js';
import { type Game, newGame, play, type Result, result, scoreOf } from './game.js';
import { legalMoves } from './moves.js';
import { BLACK, type Colour, type Move, WHITE } from './position.js';
import { randomOf, shuffled } from './random.js';
import { type SearchOptions, search } from './search.js';
import { Table } from './table.js';

/** Who plays: makes, for each game, what chooses its moves. Nothing is carried from one game to the next. */
export type Player = (gameSeed: number) => (game: Game) => Move;

export const randomPlayer: Player = (seed) => {
  const random = randomOf(seed);
  return ({ position }) => {
    const moves = legalMoves(position);
    return moves[random.below(moves.length)];
  };
};

/** Searches for each move, by depth, by nodes, or, which is not the same twice, for some milliseconds. */
export function searchPlayer(
  evaluate: Evaluate,
  limit: Pick<SearchOptions, 'depth' | 'nodes'> & { readonly milliseconds?: number },
): Player {
  const { milliseconds, ...limits } = limit;
  return () => {
    const table = new Table();
    return (game) => {
      if (milliseconds === undefined) return search(game, { ...limits, evaluate, table }).move;
      const end = performance.now() + milliseconds;
      return search(game, { ...limits, evaluate, table, stop: () => performance.now() >= end }).move;
    };
  };
}

/** Plays a game to its end. */
export function playGame(
  opening: Game,
  players: readonly [black: (game: Game) => Move, white: (game: Game) => Move],
): { readonly result: Result; readonly moves: readonly Move[] } {
  const moves: Move[] = [];
  for (let game = opening; ; ) {
    const ended = result(game);
    if (ended !== null) return { result: ended, moves };
    const move = players[game.position.turn](game);
    moves.push(move);
    game = play(game, move);
  }
}

/**
 * So many different positions a few moves into the game, drawn by the seed from all that are as far from the start:
 * as far as it takes that they are at most half of them.
 */
export function openings(many: number, seed: number): Game[] {
  for (let found: Game[] = [newGame()]; ; found = nextGames(found)) {
    if (found.length >= 2 * many) return shuffled(found, randomOf(seed)).slice(0, many);
  }
}

/** Every position one move further, once. */
function nextGames(games: readonly Game[]): Game[] {
  const found = new Map<string, Game>();
  for (const game of games) {
    for (const move of legalMoves(game.position)) {
      const next = play(game, move);
      const { black, white, kings } = next.position;
      found.set(`${black} ${white} ${kings}`, next);
    }
  }
  return [...found.values()];
}

export interface MatchOptions {
  /** An even number: each opening is played twice, with the colours exchanged. */
  readonly games: number;
  readonly seed: number;
  /** Called after each game with how it stands. */
  readonly onGame?: (match: Match) => void;
}

/** How a match stands, as the first of the two players sees it. */
export interface Match {
  readonly wins: number;
  readonly draws: number;
  readonly losses: number;
  /** Wins and half the draws, as a share of the games, and the ends of its 95 % interval. */
  readonly score: number;
  readonly low: number;
  readonly high: number;
  /** Moves of both sides in all the games, after the openings. */
  readonly moves: number;
}

/** Plays a match over many openings. Equal players, options and limits make an equal match. */
export function playMatch(first: Player, second: Player, { games, seed, onGame }: MatchOptions): Match {
  if (!(Number.isSafeInteger(games) && games >= 2 && games % 2 === 0)) {
    throw new RangeError(`${games} games must be an even number from 2`);
  }
  const starts = openings(games / 2, seed);
  const scores: number[] = [];
  let moves = 0;
  let match = standing(scores, moves);
  for (let number = 0; number < games; number++) {
    const colour: Colour = number % 2 === 0 ? BLACK : WHITE;
    const [mine, theirs] = [first(seed + number), second(seed + number)];
    const game = playGame(starts[number >> 1], colour === BLACK ? [mine, theirs] : [theirs, mine]);
    scores.push(scoreOf(game.result, colour));
    moves += game.moves.length;
    match = standing(scores, moves);
    onGame?.(match);
  }
  return match;
}

function standing(scores: readonly number[], moves: number): Match {
  const of = (score: number) => scores.filter((each) => each === score).length;
  const [wins, draws, losses] = [of(1), of(0), of(-1)];
  const score = (wins + draws / 2) / scores.length;
  return { wins, draws, losses, score, ...interval(score, scores.length), moves };
}

/** Of a normal distribution, two-sided 95 %. */
const Z95 = 1.96;

/**
 * Wilson's interval of a share (1927), which says something also where every game was won. Draws vary less than the wins
 * and losses that it supposes: where there are many it is wider than it need be.
 */
function interval(score: number, games: number): Pick<Match, 'low' | 'high'> {
  const weight = Z95 ** 2 / games;
  const centre = (score + weight / 2) / (1 + weight);
  const half = Math.sqrt(weight * (score * (1 - score) + weight / 4)) / (1 + weight);
  return { low: Math.max(0, centre - half), high: Math.min(1, centre + half) };
}
