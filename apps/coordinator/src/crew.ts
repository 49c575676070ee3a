import { type Paced, powersOf } from './speeds.js';

/**
 * Who takes part in a step: as many workers as make it shorter. Each one more has its share computed beside the others,
 * but is sent the weights and sends a sum; where lines or the coordinator are full, a step is longer with it.
 */

/** What was seen of steps among so many workers. Times are in milliseconds. */
export interface Trial {
  /** Beyond what computing alone would take: a running mean. */
  readonly overhead: number;
  /** The last step that was shared among so many. */
  readonly step: number;
}

/** By the number of workers. */
export type Trials = ReadonlyMap<number, Trial>;

/** Of a new step against all former ones, and the most that it counts for: a hiccup is no cluster that is too large. */
const WEIGHT = 0.3;
const HICCUP = 2;
/** Steps after which another number may be tried again: one of them at twice the time costs a hundredth. */
const MEMORY = 100;
/** By which a step must be able to become shorter for another number to be tried. */
const GAIN = 1 / 16;

interface Setting {
  /** Micro-batches in a step. */
  readonly total: number;
  readonly step: number;
}

/** Who is to take part in that step, in the order of `members`: the fast ones, and those as fast as each other by turns. */
export function crewOf<P extends Paced>(members: readonly P[], trials: Trials, setting: Setting): P[] {
  const order = inTurn(members);
  const chosen = new Set(order.slice(0, sizeOf([...powersOf(order).values()], trials, setting)));
  return members.filter((member) => chosen.has(member));
}

/** What a step tells that this crew did in so many milliseconds. */
export function tried(trials: Trials, crew: readonly Paced[], duration: number, setting: Setting): Trials {
  const { total, step } = setting;
  const computing = total / sum(powersOf(crew).values());
  const fresh = new Map([...trials].filter(([, trial]) => isFresh(trial, setting)));
  const known = fresh.get(crew.length);
  const most = known === undefined ? duration : HICCUP * (computing + known.overhead);
  const sample = Math.max(0, Math.min(duration, most) - computing);
  const overhead = known === undefined ? sample : known.overhead + WEIGHT * (sample - known.overhead);
  return fresh.set(crew.length, { overhead, step });
}

/**
 * The number of workers with which a step was shortest, unless it could be shorter with another one that was not tried
 * lately: with fewer, nothing may be left but computing; with more, what comes beside it becomes no less.
 * @param powers of all that are there, in the order in which they take part
 */
function sizeOf(powers: readonly number[], trials: Trials, setting: Setting): number {
  const all = powers.length;
  const computing = (size: number) => setting.total / sum(powers.slice(0, size));
  const sizes = sizesUpTo(all).map((size) => {
    const trial = trials.get(size);
    const overhead = trial && isFresh(trial, setting) ? trial.overhead : null;
    return { size, overhead, time: computing(size) + (overhead ?? 0) };
  });
  const known = sizes.filter(({ overhead }) => overhead !== null);
  if (known.length === 0) return all;
  const best = known.reduce((one, other) => (other.time < one.time ? other : one));
  const enough = (1 - GAIN) * best.time;
  const place = sizes.indexOf(best);
  const fewer = sizes.slice(0, place).findLast(({ overhead, time }) => overhead === null && time < enough);
  if (fewer !== undefined) return fewer.size;
  const more = sizes[place + 1];
  const worthIt = more?.overhead === null && more.time + (best.overhead ?? 0) < enough;
  return worthIt ? more.size : best.size;
}

/** 1, 2, 4 … and all, with no step between two that tells next to nothing. */
function sizesUpTo(all: number): number[] {
  const sizes: number[] = [];
  for (let size = 1; size * Math.SQRT2 < all; size *= 2) sizes.push(size);
  return [...sizes, all];
}

/**
 * Those within half of the fastest one's power first, then those within a quarter of it, and so on; of each, those first that
 * have waited longest.
 */
function inTurn<P extends Paced>(members: readonly P[]): P[] {
  const powers = powersOf(members);
  const most = Math.max(...powers.values());
  const rank = ({ id }: P) => Math.floor(Math.log2(most / (powers.get(id) ?? most)));
  return [...members].sort((one, other) => rank(one) - rank(other) || one.turn - other.turn);
}

function isFresh(trial: Trial, { step }: Setting): boolean {
  return step - trial.step <= MEMORY;
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
