import type { Baselines } from './baselines.js';
import { type Point, type Trend, trendOf } from './trend.js';

export interface ConvergenceConfig {
  /** Evaluations one after the other without an improvement of at least `minImprovement`, in nats a token. */
  readonly patience: number;
  readonly minImprovement: number;
  /** Whether a run may end before its learning rate has decayed: a plateau at a high rate often is none at a low one. */
  readonly beforeDecay: boolean;
}

/** What a run knows of itself at an evaluation. */
export interface Evidence {
  /** Training losses, step by step; at least those of the last `patience` evaluations. */
  readonly training: readonly Point[];
  /** Validation losses of all evaluations so far. */
  readonly validation: readonly Point[];
  /** null: nothing to compare with. */
  readonly baselines: Baselines | null;
  /** The first step whose learning rate had come down; null: it has not yet. */
  readonly decayedAt: number | null;
}

/** The three questions, each with its evidence, and the answer. */
export interface Convergence {
  /** Of the training loss since the evaluation that is `patience` ago; null: too short to tell. */
  readonly trend: Trend | null;
  /** The training loss still falls: surely, and by more than the least improvement over the window. */
  readonly falling: boolean;
  /** The last validation loss that was an improvement, and evaluations since then. */
  readonly best: Point | null;
  readonly waited: number;
  /** The best validation loss is below what counting tokens gives. */
  readonly good: boolean;
  readonly converged: boolean;
}

/** Answers from numbers of the run alone: equal numbers, equal answers. */
export function judgeConvergence(config: ConvergenceConfig, evidence: Evidence): Convergence {
  const { training, validation, baselines, decayedAt } = evidence;
  const { patience, minImprovement } = config;
  const { best, waited } = patiently(validation, minImprovement);
  const since = validation.at(-1 - patience)?.step ?? Number.POSITIVE_INFINITY;
  const trend = trendOf(training.filter(({ step }) => step > since));
  const falling = trend !== null && trend.high < 0 && -trend.slope * (trend.to - since) > minImprovement;
  const good = best !== null && best.loss < (baselines?.unigram ?? Number.POSITIVE_INFINITY);
  // What a lower rate brings shows after it was lowered: patience counts from there.
  const atLowRate = config.beforeDecay || (decayedAt !== null && since >= decayedAt);
  return {
    trend,
    falling,
    best,
    waited,
    good,
    converged: waited >= patience && trend !== null && !falling && good && atLowRate,
  };
}

/** Improvements smaller than the least one add up until they count. */
function patiently(validation: readonly Point[], minImprovement: number) {
  let best: Point | null = null;
  let waited = 0;
  for (const point of validation) {
    if (point.loss < (best?.loss ?? Number.POSITIVE_INFINITY) - (best === null ? 0 : minImprovement)) {
      best = point;
      waited = 0;
    } else {
      waited += 1;
    }
  }
  return { best, waited };
}
