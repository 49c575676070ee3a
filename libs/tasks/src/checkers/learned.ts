import { featureMeanings, featureNames } from '@manyhands/checkers';
import type { ValueModel } from '@manyhands/core/model';

/** A weight of Samuel's sum, for a reader. */
export interface LearnedWeight {
  readonly name: string;
  /** Log-odds of winning for each of what is counted. */
  readonly weight: number;
  /** The same in men, where a man is worth anything. */
  readonly inMen: number;
  readonly meaning: string;
}

/** The weights of a linear model with their meaning; none of a network, whose weights have no meaning one by one. */
export function learnedWeights({ config }: ValueModel, weights: Float32Array): LearnedWeight[] {
  if (config.arch !== 'linear' || weights.length !== featureNames.length) return [];
  const man = weights[featureNames.indexOf('men')];
  return featureNames.map((name, i) => ({
    name,
    weight: weights[i],
    inMen: weights[i] / man,
    meaning: featureMeanings[name],
  }));
}
