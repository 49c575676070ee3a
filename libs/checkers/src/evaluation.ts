import { bit, SQUARES, turned } from './board.js';
import { type FeatureName, featureNames, features } from './features.js';
import { BLACK, type Position } from './position.js';

/**
 * What a position is worth to the side to move, in men, without looking ahead: from −100 to 100. Whatever says that,
 * a weighted sum or a network, can be searched with.
 */
export type Evaluate = (position: Position) => number;

/** The greatest value: far from what a won game counts for. */
export const GREATEST = 100;

/** Weights that nothing was learned from: a man is one, a king one and a half, and the rest is not known to matter. */
export const startWeights: Readonly<Float32Array> = weightsOf({ men: 1, kings: 1.5 });

/** Weights by name, in the order of `featureNames`; what is not named is 0. */
export function weightsOf(named: Readonly<Partial<Record<FeatureName, number>>>): Float32Array {
  return Float32Array.from(featureNames, (name) => named[name] ?? 0);
}

/** The weighted sum of the features (Samuel's scoring polynomial), within ±100. */
export function linear(weights: Readonly<Float32Array>): Evaluate {
  const found = new Float32Array(featureNames.length);
  return (position) => {
    features(position, found);
    let sum = 0;
    for (let i = 0; i < found.length; i++) sum += weights[i] * found[i];
    return Math.max(-GREATEST, Math.min(GREATEST, sum));
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
