import { math } from '../numeric/index.js';

export interface ScheduleConfig {
  readonly name: 'constant' | 'cosine' | 'wsd' | 'sweep';
  /** Steps of linear warm-up. */
  readonly warmup: number;
  /** Learning rate at the end; of a `sweep` at its start, and above 0; `constant` does not use it. */
  readonly minLr: number;
}

/** From 1 (the highest learning rate) to 0 (`minLr`), `progress` being 0 at the end of warm-up and 1 at the run's. */
type Schedule = (progress: number) => number;

/** The part of a warm-up–stable–decay run that decays. */
const decayPart = 0.2;

/** Every schedule that only decays after warm-up. To add one: a line here, its name in ScheduleConfig. */
export const schedules: Readonly<Record<Exclude<ScheduleConfig['name'], 'sweep'>, Schedule>> = {
  constant: () => 1,
  /** Loshchilov & Hutter 2017, without restarts. */
  cosine: (progress) => (1 + math.cos(Math.PI * progress)) / 2,
  /** Stable, then 1 − √x over the last fifth: Hägele et al. 2024, section 3. */
  wsd: (progress) => {
    const decayed = (progress - (1 - decayPart)) / decayPart;
    return decayed <= 0 ? 1 : 1 - Math.sqrt(Math.min(1, decayed));
  },
};

/**
 * The first step whose rate is no more than half-way above `minLr` after warm-up; `constant` has no decay to wait for.
 * `steps` where there is none, as in a sweep.
 */
export function decayedAt({ name, warmup }: ScheduleConfig, steps: number): number {
  if (name === 'constant') return Math.min(warmup, steps);
  if (name === 'sweep') return steps;
  let [low, high] = [Math.min(warmup, steps), steps];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (schedules[name](progressOf(middle, warmup, steps)) <= 0.5) high = middle;
    else low = middle + 1;
  }
  return low;
}

function progressOf(step: number, warmup: number, steps: number): number {
  return Math.min(1, (step - warmup) / Math.max(1, steps - warmup));
}

/**
 * The learning rate of step number `step` (0 … steps−1). Warm-up rises in equal parts and reaches the highest rate in its last
 * step. A sweep rises from `minLr` to `lr` by the same factor at each step: the range test of Smith 2015 (arXiv 1506.01186).
 */
export function learningRate(
  { name, warmup, minLr }: ScheduleConfig,
  { lr }: { readonly lr: number },
  step: number,
  steps: number,
): number {
  if (step < warmup) return (lr * (step + 1)) / warmup;
  const progress = progressOf(step, warmup, steps);
  if (name === 'sweep') return minLr * math.exp(progress * math.log(lr / minLr));
  return minLr + schedules[name](progress) * (lr - minLr);
}
