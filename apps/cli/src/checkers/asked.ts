import {
  CheckersError,
  type Evaluate,
  featureNames,
  linear,
  type Position,
  parsePosition,
  startPosition,
  startWeights,
} from '@manyhands/checkers';
import { holdsRun, readRunConfig } from '@manyhands/core/checkpoint';
import { UserError } from '@manyhands/core/config';
import { initialWeights, isLanguageModel, type ValueModel } from '@manyhands/core/model';
import { evaluationOf } from '@manyhands/tasks';
import { openAnyModel } from '../model.js';

/** The colours, in the order of their numbers. */
export const BOTH = ['black', 'white'] as const;

/** What judges positions, and what it is called. */
export interface Judge {
  readonly name: string;
  readonly evaluate: Evaluate;
  /** What its values count. */
  readonly unit: 'men' | 'log-odds of winning';
  /** The weights of its features; null where it is a network. */
  readonly weights: Readonly<Float32Array> | null;
}

/** Counts men and kings, and was learned from nothing. */
export const material: Judge = {
  name: 'material alone',
  evaluate: linear(startWeights),
  unit: 'men',
  weights: startWeights,
};

/** @throws UserError where the text is no position, or one that cannot be */
export function positionOption(text: string | undefined): Position {
  if (text === undefined) return startPosition;
  try {
    return parsePosition(text);
  } catch (error) {
    if (error instanceof CheckersError) throw new UserError(`--position: ${error.message}.`);
    throw error;
  }
}

/**
 * What a run of the task checkers learned; material where none is named.
 * @throws UserError where there is no such model, or it reads text
 */
export function modelOption(directory: string | undefined, options: { readonly best?: boolean }): Judge {
  if (directory === undefined) return material;
  const { model, weights } = openValueModel(directory, options);
  return judgeOf(model, weights, directory);
}

/**
 * What the model of a run was before it learned.
 * @throws UserError where no run is named
 */
export function untrained(directory: string | undefined): Judge {
  if (directory === undefined || !holdsRun(directory)) {
    throw new UserError('--against start is what a run began with: give its directory as --model.');
  }
  const { model } = openValueModel(directory, {});
  const { run } = readRunConfig(directory);
  return judgeOf(model, initialWeights(model, run.seed), 'its untrained start');
}

/** @throws UserError where the number is odd: colours are exchanged after each game */
export function evenGames(games: number): number {
  if (games % 2 === 0) return games;
  throw new UserError(`--games is "${games}", but must be even: each opening is played with either colour.`);
}

function openValueModel(directory: string, options: { readonly best?: boolean }) {
  const { model, weights } = openAnyModel(directory, options);
  if (isLanguageModel(model)) {
    throw new UserError(`${directory} holds a language model, but must be of a run of the task checkers.`);
  }
  return { model, weights };
}

/** A sum is the same judge in whatever unit: in men it can be read. */
function judgeOf(model: ValueModel, weights: Float32Array, name: string): Judge {
  const odds = { name, evaluate: evaluationOf(model, weights), unit: 'log-odds of winning' } as const;
  if (model.config.arch !== 'linear') return { ...odds, weights: null };
  const man = weights[featureNames.indexOf('men')];
  if (man <= 0) return { ...odds, weights };
  const inMen = weights.map((weight) => weight / man);
  return { name, evaluate: linear(inMen), unit: 'men', weights: inMen };
}
