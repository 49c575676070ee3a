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
  const id =
    temperature === 0
      ? largest(scores)
      : draw(
          candidates(
            scores.map((score) => score / temperature),
            options,
          ),
          random.nextFloat(),
        );
  return { id, logProbability: logits[id] - logSumExp(logits) };
}

/** @throws UserError that names the option, its value and what is allowed */
export function checkSampling(options: SamplingOptions): void {
  const { temperature = 1, topK = 0, topP = 1, minP = 0, repetitionPenalty = 1 } = options;
  const demand = (holds: boolean, option: string, value: number, allowed: string) => {
    if (!holds) throw new UserError(`${option} is ${show(value)}, but must be ${allowed}.`);
  };
  demand(
    temperature >= 0 && temperature <= 100,
    'temperature',
    temperature,
    'a number from 0 (greedy) to 100',
  );
  demand(
    Number.isSafeInteger(topK) && topK >= 0,
    'top-k',
    topK,
    'a whole number from 1 up, or 0 for all tokens',
  );
  demand(topP > 0 && topP <= 1, 'top-p', topP, 'a number above 0 and at most 1');
  demand(minP >= 0 && minP <= 1, 'min-p', minP, 'a number from 0 to 1');
  const penalty = repetitionPenalty > 0 && repetitionPenalty <= 100;
  demand(penalty, 'repetition-penalty', repetitionPenalty, 'a number above 0 and at most 100');
}

interface Candidate {
  readonly id: number;
  /** exp(score − largest score) */
  readonly weight: number;
}

/** The tokens that are left after the cuts, with their unnormalised probabilities; never none. */
function candidates(scores: Float64Array, { topK = 0, topP = 1, minP = 0 }: SamplingOptions): Candidate[] {
  const top = scores[largest(scores)];
  const threshold =
    topK > 0 && topK < scores.length ? scores.slice().sort()[scores.length - topK] : -Infinity;
  let left: Candidate[] = [];
  scores.forEach((score, id) => {
    if (score >= threshold) left.push({ id, weight: math.exp(score - top) });
  });
  if (topP < 1) {
    left.sort((a, b) => b.weight - a.weight || a.id - b.id);
    const enough = topP * sum(left);
    let before = 0; // probability of all likelier tokens
    let count = 0;
    while (count < left.length && (count === 0 || before < enough)) before += left[count++].weight;
    left.length = count;
  }
  if (minP > 0) left = left.filter(({ weight }) => weight >= minP); // the likeliest has weight 1
  return left;
}

function draw(tokens: readonly Candidate[], random: number): number {
  let rest = random * sum(tokens);
  for (const { id, weight } of tokens) {
    rest -= weight;
    if (rest < 0) return id;
  }
  return tokens[tokens.length - 1].id; // rounding left a crumb
}

function sum(tokens: readonly Candidate[]): number {
  return tokens.reduce((total, { weight }) => total + weight, 0);
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
