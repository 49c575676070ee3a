import {
  BLACK,
  type Evaluate,
  type Game,
  legalMoves,
  type Move,
  newGame,
  type Position,
  play,
  result,
  scoreOf,
  search,
  Table,
} from '@manyhands/checkers';
import { math, type RandomStream } from '@manyhands/core/numeric';
import type { PlayOptions } from './task.js';

/** A position of a game, and how likely the side to move should be thought to win. */
export interface Example {
  readonly position: Position;
  /** From 0 to 1; a draw counts half. */
  readonly target: number;
}

/** A moment of a game, as it was played; probabilities are Black's. */
export interface Moment {
  readonly position: Position;
  /** What the search of this moment says. */
  readonly searched: number;
  /** The move was drawn, not chosen: what followed does not tell how good the position was. */
  readonly drawn: boolean;
}

/**
 * Plays a game against itself and says of its quiet positions what they should have been valued, by temporal difference:
 * λ-returns (Sutton 1988) over the values that the searches backed up, as Samuel (1959) moved the value of a board towards
 * what looking ahead said of it. Only quiet positions are ever valued by a search, so only they are learned from.
 */
export function selfPlay(evaluate: Evaluate, options: PlayOptions, random: RandomStream): Example[] {
  const { depth, openingMoves, exploration, maxMoves } = options;
  let game = newGame();
  for (let i = 0; i < openingMoves && result(game) === null; i++) game = play(game, anyMove(game, random));
  const table = new Table();
  const moments: Moment[] = [];
  let ended = result(game);
  while (ended === null && moments.length < maxMoves) {
    const { position } = game;
    const found = search(game, { depth, evaluate, table });
    const drawn = random.nextFloat() < exploration;
    const mine = winning(found.value);
    moments.push({ position, searched: position.turn === BLACK ? mine : 1 - mine, drawn });
    game = play(game, drawn ? anyMove(game, random) : found.move);
    ended = result(game);
  }
  // A game that was broken off has no result but what was thought of it last.
  const last = ended === null ? (moments.at(-1)?.searched ?? 0.5) : (1 + scoreOf(ended, BLACK)) / 2;
  return lambdaReturns(moments, last, options.lambda)
    .map((target, i): Example => {
      const { position } = moments[i];
      return { position, target: position.turn === BLACK ? target : 1 - target };
    })
    .filter(({ position }) => legalMoves(position)[0].captured === 0);
}

/** G(t) = (1 − λ) · searched(t) + λ · G(t + 1), where the move at t was chosen; searched(t) where it was drawn. */
export function lambdaReturns(
  moments: readonly Pick<Moment, 'searched' | 'drawn'>[],
  last: number,
  lambda: number,
): number[] {
  const targets = new Array<number>(moments.length);
  let next = last;
  for (let t = moments.length - 1; t >= 0; t--) {
    const { searched, drawn } = moments[t];
    next = drawn ? searched : (1 - lambda) * searched + lambda * next;
    targets[t] = next;
  }
  return targets;
}

/** The probability in log-odds. A game that is decided is far beyond. */
export function winning(value: number): number {
  return 1 / (1 + math.exp(-value));
}

function anyMove(game: Game, random: RandomStream): Move {
  const moves = legalMoves(game.position);
  return moves[random.below(moves.length)];
}
