import {
  CheckersError,
  type Position,
  parsePosition,
  parseWeights,
  startPosition,
  startWeights,
} from '@manyhands/checkers';
import { UserError } from '@manyhands/core/config';
import { readJson } from '../input.js';

/** The colours, in the order of their numbers. */
export const BOTH = ['black', 'white'] as const;

/** Weights of the features, and what they are called. */
export interface Weights {
  readonly name: string;
  readonly weights: Readonly<Float32Array>;
}

/** @throws UserError where the text is no position, or one that cannot be */
export function positionOption(text: string | undefined): Position {
  return text === undefined ? startPosition : asked('--position', () => parsePosition(text));
}

/** @throws UserError where the file does not hold one number for each feature */
export function weightsFile(file: string | undefined, option = '--weights'): Weights {
  if (file === undefined) return { name: 'the untrained start', weights: startWeights };
  const json = readJson(file, option);
  return { name: file, weights: asked(`${option} ${file}`, () => parseWeights(json)) };
}

/** @throws UserError where the number is odd: colours are exchanged after each game */
export function evenGames(games: number): number {
  if (games % 2 === 0) return games;
  throw new UserError(`--games is "${games}", but must be even: each opening is played with either colour.`);
}

function asked<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof CheckersError) throw new UserError(`${what}: ${error.message}.`);
    throw error;
  }
}
