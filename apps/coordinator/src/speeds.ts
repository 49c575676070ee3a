/** How fast workers are, as measured by their answers; times are in milliseconds. */

export interface Paced {
  readonly id: string;
  readonly threads: number;
  /** Micro-batches of a step in a millisecond; null until the first answer. */
  readonly speed: number | null;
  /** When it last answered for a step: what it was given before, it began then. */
  readonly lastAnswer: number;
  /** What it has answered for since it was last idle, and when that was. */
  readonly stretch: { readonly since: number; readonly count: number } | null;
  /** How often others did its part before it, since its last answer. */
  readonly overtakings: number;
  /** Steps without work that it is not forgiven in. */
  readonly penance: number;
}

/** Of a new measurement against all former ones: a hiccup is not a slow machine. */
const WEIGHT = 0.3;
/** By which a worker that was given nothing is believed to be like the others again, so that it gets another try. */
const FORGIVENESS = 0.05;
/** Each try of one that is overtaken every time costs the others some waiting, so it comes after twice as many steps. */
const LONGEST_PENANCE = 64;

/** Micro-batches in a millisecond: as measured, or as others of as many threads; by threads alone where nobody was measured. */
export function speedsOf(crew: readonly Paced[]): ReadonlyMap<string, number> {
  const each = perThread(crew);
  return new Map(crew.map(({ id, threads, speed }) => [id, speed ?? threads * each]));
}

/**
 * A worker that was given `count` micro-batches at `since` answered at `now`. Its speed is that of all that it does until
 * it is idle: one range alone may have waited for the weights, or be small for the sum that is sent for it.
 * @param idle whether it has nothing else to do
 */
export function measured<P extends Paced>(
  worker: P,
  { count, since, now, idle }: { count: number; since: number; now: number; idle: boolean },
): P {
  const stretch = {
    since: worker.stretch?.since ?? Math.max(since, worker.lastAnswer),
    count: (worker.stretch?.count ?? 0) + count,
  };
  const answered = { ...worker, lastAnswer: now, overtakings: 0, penance: 0 };
  if (!idle) return { ...answered, stretch };
  const sample = rate(stretch, now);
  const speed = worker.speed === null ? sample : worker.speed + WEIGHT * (sample - worker.speed);
  return { ...answered, speed, stretch: null };
}

/** It had not answered at `now`, when others had done its part: it is no faster than that. */
export function overtaken<P extends Paced>(worker: P, count: number, since: number, now: number): P {
  const { stretch } = worker;
  const begun = stretch ?? { since: Math.max(since, worker.lastAnswer), count: 0 };
  const most = rate({ since: begun.since, count: begun.count + count }, now);
  const speed = Math.min(worker.speed ?? most, most);
  const penance = Math.min(LONGEST_PENANCE, 2 ** worker.overtakings - 1);
  return { ...worker, speed, lastAnswer: now, stretch: null, overtakings: worker.overtakings + 1, penance };
}

/** After a step in which `idle` was given nothing. */
export function forgiven<P extends Paced>(idle: P, crew: readonly Paced[]): P {
  if (idle.speed === null) return idle;
  if (idle.penance > 0) return { ...idle, penance: idle.penance - 1 };
  return { ...idle, speed: idle.speed + FORGIVENESS * (idle.threads * perThread(crew) - idle.speed) };
}

function rate({ since, count }: { readonly since: number; readonly count: number }, now: number): number {
  return count / Math.max(1, now - since);
}

function perThread(crew: readonly Paced[]): number {
  const known = crew.flatMap(({ speed, threads }) => (speed === null ? [] : [speed / threads]));
  return known.length === 0 ? 1 : known.reduce((sum, speed) => sum + speed, 0) / known.length;
}
