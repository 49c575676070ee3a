import { barrenStep, UserError, weightAt } from '../config/index.js';
import { randomStream } from '../numeric/index.js';
import type { SplitName } from './manifest.js';
import type { TokenSource, Window } from './token-data.js';

/** The part of the data that windows are chosen from: counts and weights, never the tokens. */
export interface WindowSources {
  readonly sources: readonly Pick<TokenSource, 'weight' | 'heldOut' | SplitName>[];
}

/** Sets the sampler's random numbers apart from those of dropout and initialisation. */
const purpose = 0x57494e44;

/**
 * The windows of one step's batch: a pure function of (seed, step) and the data's counts, whoever computes them.
 * Each window: a source by its weight at the step, then any offset at which `context + 1` tokens fit (with replacement,
 * as nanoGPT does it). A source shorter than that gives its beginning, and −1 beyond its end.
 * @throws UserError where no source has a weight and two training tokens: one to read, one to guess
 */
export function sampleWindows(
  data: WindowSources,
  options: { seed: number; step: number; sequences: number; context: number },
): Window[] {
  const { seed, step, sequences, context } = options;
  const weights = weightsAt(data, step);
  const usable = data.sources.flatMap(({ train: { tokens } }, source) =>
    weights[source] > 0 ? [{ source, weight: weights[source], tokens }] : [],
  );
  const last = usable.at(-1);
  if (!last) throw new UserError(`The training data has nothing to learn from at step ${step}.`);
  const total = usable.reduce((sum, { weight }) => sum + weight, 0);
  const random = randomStream(seed, purpose, step);
  return Array.from({ length: sequences }, () => {
    let rest = random.nextFloat() * total;
    const chosen = usable.find(({ weight }) => {
      rest -= weight;
      return rest < 0;
    });
    const { source, tokens } = chosen ?? last; // rounding may leave a rest after the last weight
    return { split: 'train', source, offset: random.below(Math.max(1, tokens - context)) };
  });
}

/** The weights of a step; 0 where there is nothing to draw: a window needs a token to read and one to guess. */
function weightsAt({ sources }: WindowSources, step: number): number[] {
  return sources.map(({ weight, heldOut, train }) =>
    heldOut === true || train.tokens < 2 ? 0 : weightAt(weight, step),
  );
}

/** Steps that stand for a run of more. */
const LOOKED_AT = 1000;

/** The part of the windows of steps 0 … steps − 1 that each source is expected to give. They sum to 1. */
export function mixtureShares(data: WindowSources, steps: number): number[] {
  const shares = data.sources.map(() => 0);
  const looked = spread(steps, Math.min(steps, LOOKED_AT));
  for (const step of looked) {
    const weights = weightsAt(data, step);
    const total = weights.reduce((sum, weight) => sum + weight, 0) * looked.length;
    weights.forEach((weight, source) => {
      shares[source] += total === 0 ? 0 : weight / total;
    });
  }
  return shares;
}

/**
 * @throws UserError where there is a step whose batch cannot be drawn: from no source that has two training tokens (one
 *   to read, one to guess) and a weight above 0
 */
export function refuseBarren({ sources }: WindowSources): void {
  const drawn = sources.filter(({ heldOut, train }) => heldOut !== true && train.tokens >= 2);
  if (drawn.length === 0) {
    throw new UserError('The training data has fewer than two tokens: there is nothing to learn from.');
  }
  const barren = barrenStep(drawn.map(({ weight }) => weight));
  if (barren === null) return;
  throw new UserError(
    `At step ${barren} no source with training text has a weight above 0: give one of them one in data.sources.`,
  );
}

/**
 * At most `maximum` windows of a split, spread evenly over it, none of whose targets overlap; with a large enough
 * `maximum` each token but the first of a source is a target exactly once. Every source gets a window, the others
 * are shared out by length. Sources that are held out have windows of their own, apart from the others'. The same windows
 * every time.
 */
export function evaluationWindows(
  data: WindowSources,
  split: SplitName,
  options: { context: number; maximum: number; heldOut?: boolean },
): Window[] {
  const { context, maximum, heldOut = false } = options;
  const usable = data.sources.flatMap((entry, source) => {
    if ((entry.heldOut === true) !== heldOut) return [];
    const available = Math.ceil((entry[split].tokens - 1) / context);
    return available > 0 ? [{ source, available }] : [];
  });
  if (usable.length > maximum) {
    return spread(usable.length, maximum).map((index) => ({
      split,
      source: usable[index].source,
      offset: 0,
    }));
  }
  const extra = usable.reduce((sum, { available }) => sum + available - 1, 0);
  const left = Math.min(extra, maximum - usable.length);
  return usable.flatMap(({ source, available }) => {
    const count = extra === 0 ? 1 : 1 + Math.floor((left * (available - 1)) / extra);
    return spread(available, count).map((index): Window => ({ split, source, offset: index * context }));
  });
}

/** `count` of the numbers 0 … total − 1, evenly spaced from 0 on. */
function spread(total: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => Math.floor((index * total) / count));
}
