import { bit, SQUARES, turned } from './board.js';
import { CheckersError } from './errors.js';
import { type FeatureName, featureNames, features } from './features.js';
import { BLACK, type Position } from './position.js';

/**
 * What a position is worth to the side to move, in men, without looking ahead: from −100 to 100. Whatever says that,
 * a weighted sum or a network, can be searched with.
 */
export type Evaluate = (position: Position) => number;

/** The greatest value and the greatest weight: far from what a won game counts for. */
export const GREATEST = 100;

/** Weights that nothing was learned from: a man is one, a king one and a half, and the rest is not known to matter. */
export const startWeights: Readonly<Float32Array> = weightsOf({ men: 1, kings: 1.5 });

/** Weights by name, in the order of `featureNames`; what is not named is 0. */
export function weightsOf(named: Readonly<Partial<Record<FeatureName, number>>>): Float32Array {
  return Float32Array.from(featureNames, (name) => named[name] ?? 0);
}

/**
 * Reads the weights of a file: `{"weights": {"men": 1, …}}`, one finite number for every feature.
 * @throws CheckersError where one is missing, unknown or beyond ±100
 */
export function parseWeights(json: unknown): Float32Array {
  const named = isRecord(json) ? json.weights : undefined;
  if (!isRecord(named)) throw new CheckersError('weights are an object: {"weights": {"men": 1, …}}');
  const unknown = Object.keys(named).find((key) => !featureNames.some((name) => name === key));
  if (unknown !== undefined) {
    const name = JSON.stringify(unknown.slice(0, 60));
    throw new CheckersError(`there is no feature ${name}: they are ${featureNames.join(', ')}`);
  }
  return Float32Array.from(featureNames, (name) => {
    const weight = named[name];
    if (typeof weight === 'number' && Math.abs(weight) <= GREATEST) return weight;
    throw new CheckersError(`the weight of ${name} must be a number from −${GREATEST} to ${GREATEST}`);
  });
}

/** The weighted sum of the features (Samuel's scoring polynomial). */
export function linear(weights: Readonly<Float32Array>): Evaluate {
  const found = new Float32Array(featureNames.length);
  return (position) => {
    features(position, found);
    let sum = 0;
    for (let i = 0; i < found.length; i++) sum += weights[i] * found[i];
    return sum;
  };
}

/** How many numbers `encode` makes: my men, my kings, the other's men and kings on each square. */
export const ENCODED = 4 * SQUARES;

/**
 * A position for a network: 0 or 1 for each kind of piece on each square, turned so that the side to move plays as
 * Black does. [4 × 32]
 */
export function encode(
  { black, white, kings, turn }: Position,
  into = new Float32Array(ENCODED),
): Float32Array {
  const [mine, theirs, crowned] =
    turn === BLACK ? [black, white, kings] : [turned(white), turned(black), turned(kings)];
  const planes = [mine & ~crowned, mine & crowned, theirs & ~crowned, theirs & crowned];
  for (const [plane, squares] of planes.entries()) {
    for (let square = 0; square < SQUARES; square++) {
      into[plane * SQUARES + square] = squares & bit(square) ? 1 : 0;
    }
  }
  return into;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
