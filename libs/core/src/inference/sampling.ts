/** From logits to the next token: a pure function of the logits, the options and one random number. */
import { RunError, show, UserError } from '../config/index.js';
import { math } from '../numeric/index.js';

export interface SamplingOptions {
  /** 0 takes the most likely token. Default 1. */
  readonly temperature?: number;
  /** Only the K most likely tokens; 0, the default, is off. (Fan et al. 2018) */
  readonly topK?: number;
  /** Only the fewest tokens that together have probability P; 1, the default, is off. (Holtzman et al. 2020) */
  readonly topP?: number;
  /** Only tokens at least P times as likely as the likeliest; 0, the default, is off. (Nguyen et al. 2024) */
  readonly minP?: number;
  /** Above 1, tokens that were seen before become less likely; 1, the default, is off. (Keskar et al. 2019) */
  readonly repetitionPenalty?: number;
}

export interface PickedToken {
  readonly id: number;
  /** What the model itself gives this token, before penalty, temperature and cuts, in nats. */
  readonly logProbability: number;
}

type Logits = ArrayLike<number>;

/**
 * Picks the next token, in the order of Hugging Face's processors: repetition penalty, temperature, top-k, top-p,
 * min-p. Ties go to the lower id.
 *
 * @param logits of one position, [V]
 * @param random is asked for one number in [0, 1) unless the temperature is 0
 * @param seen ids that the repetition penalty is for, prompt included
 * @throws RunError where the logits are not finite
 */
export function pickToken(
  logits: Logits,
  options: SamplingOptions,
  random: { nextFloat(): number },
  seen: Iterable<number> = [],
): PickedToken {
  const { temperature = 1, repetitionPenalty = 1 } = options;
  const scores = Float64Array.from(logits);
  if (!scores.every(Number.isFinite)) {
    throw new RunError(
      'The model gives logits that are not finite: its training diverged, or its weights are damaged.',
    );
  }
  if (repetitionPenalty !== 1) {
    for (const id of new Set(seen)) {
      scores[id] = scores[id] < 0 ? scores[id] * repetitionPenalty : scores[id] / repetitionPenalty;
    }
  }
  const id = temperature === 0 ? largest(scores) : draw(weigh(scores, options), random.nextFloat());
  return { id, logProbability: logits[id] - logSumExp(logits) };
}

/** What an option may be: from `least` (`above` it where that is set) to `most`. */
export interface SamplingRange {
  readonly least: number;
  readonly most: number;
  readonly above?: boolean;
}

export const samplingRanges = {
  temperature: { least: 0, most: 100 },
  topP: { least: 0, most: 1, above: true },
  minP: { least: 0, most: 1 },
  repetitionPenalty: { least: 0, most: 100, above: true },
} as const satisfies Readonly<Record<string, SamplingRange>>;

export function isInRange(value: number, { least, most, above = false }: SamplingRange): boolean {
  return (above ? value > least : value >= least) && value <= most;
}

/** `a number from 0 to 1`, `a number above 0 and at most 1` */
export function rangeInWords({ least, most, above = false }: SamplingRange): string {
  return above ? `a number above ${least} and at most ${most}` : `a number from ${least} to ${most}`;
}

/** @throws UserError that names the option, its value and what is allowed */
export function checkSampling(options: SamplingOptions): void {
  const { temperature = 1, topK = 0, topP = 1, minP = 0, repetitionPenalty = 1 } = options;
  const demand = (holds: boolean, option: string, value: number, allowed: string) => {
    if (!holds) throw new UserError(`${option} is ${show(value)}, but must be ${allowed}.`);
  };
  const within = (option: string, value: number, range: SamplingRange) =>
    demand(isInRange(value, range), option, value, rangeInWords(range));
  within('temperature', temperature, samplingRanges.temperature);
  const allowed = 'a whole number from 1 up, or 0 for all tokens';
  demand(Number.isSafeInteger(topK) && topK >= 0, 'top-k', topK, allowed);
  within('top-p', topP, samplingRanges.topP);
  within('min-p', minP, samplingRanges.minP);
  within('repetition-penalty', repetitionPenalty, samplingRanges.repetitionPenalty);
}

/** Probabilities that are not normalised: exp((score − largest) / temperature), and 0 for tokens that are cut. */
function weigh(scores: Float64Array, options: SamplingOptions): Float64Array {
  const { temperature = 1, topK = 0, topP = 1, minP = 0 } = options;
  const top = scores[largest(scores)];
  const kept = topK > 0 && topK < scores.length ? scores.slice().sort()[scores.length - topK] : -Infinity;
  const weights = scores.map((score) => (score < kept ? 0 : math.exp((score - top) / temperature)));
  if (topP < 1) cutTail(weights, topP);
  if (minP > 0) {
    for (let id = 0; id < weights.length; id++) if (weights[id] < minP) weights[id] = 0; // the likeliest has 1
  }
  return weights;
}

/** Keeps the fewest tokens that together have the part `topP`; of equal ones at the edge, the lower ids. */
function cutTail(weights: Float64Array, topP: number): void {
  const ascending = weights.slice().sort();
  const enough = topP * sum(weights);
  let first = ascending.length - 1; // the smallest weight that stays
  for (let kept = ascending[first]; kept < enough && first > 0; kept += ascending[first]) first--;
  const edge = ascending[first];
  let places =
    ascending.length - first - weights.reduce((count, weight) => count + (weight > edge ? 1 : 0), 0);
  for (let id = 0; id < weights.length; id++) {
    if (weights[id] < edge || (weights[id] === edge && places-- <= 0)) weights[id] = 0;
  }
}

function draw(weights: Float64Array, random: number): number {
  let rest = random * sum(weights);
  let last = 0;
  for (let id = 0; id < weights.length; id++) {
    if (weights[id] === 0) continue;
    rest -= weights[id];
    if (rest < 0) return id;
    last = id;
  }
  return last; // rounding left a crumb
}

function sum(weights: Float64Array): number {
  let total = 0;
  for (const weight of weights) total += weight;
  return total;
}

function largest(scores: Logits): number {
  let best = 0;
  for (let id = 1; id < scores.length; id++) if (scores[id] > scores[best]) best = id;
  return best;
}

function logSumExp(logits: Logits): number {
  const top = logits[largest(logits)];
  let total = 0;
  for (let id = 0; id < logits.length; id++) total += math.exp(logits[id] - top);
  return top + math.log(total);
}
