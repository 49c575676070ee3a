import { moved, type Paced, powersOf, speedsOf } from './speeds.js';

/**
 * Who takes part in a step: as many workers as make it shorter. Each one more has its share computed beside the others,
 * but is sent the weights and sends a sum; where lines or the coordinator are full, a step is longer with it.
 */

/** What was seen of steps among so many workers. Times are in milliseconds. */
export interface Trial {
  /** Beyond what computing alone would take: a running mean. */
  readonly overhead: number;
  /** The last step that was shared among so many, and how many there were. */
  readonly step: number;
  readonly steps: number;
}

/** By the number of workers. */
export type Trials = ReadonlyMap<number, Trial>;

/** How many times the overhead of former steps a new one counts for: a hiccup says little. */
const HICCUP = 2;
/** Steps after which another number may be tried again: one of them at twice the time costs a hundredth. */
const MEMORY = 100;
/** A worker is slow that computes, or answers, so many times slower than the fastest one. */
const SLOW = 2;
/** By which a step must be able to become shorter for another number to be tried. */
const GAIN = 1 / 16;

interface Setting {
  /** Micro-batches in a step. */
  readonly total: number;
  readonly step: number;
}

/** Who is to take part in that step, in the order of `members`: the fast ones, and those as fast as each other by turns. */
export function crewOf<P extends Paced>(members: readonly P[], trials: Trials, setting: Setting): P[] {
  const powers = powersOf(members);
  const computing = inTurn(members, [powers], setting).map(({ id }) => powers.get(id) ?? 0);
  const size = sizeOf(computing, trials, setting);
  const chosen = new Set(inTurn(members, [powers, speedsOf(members, size)], setting).slice(0, size));
  return members.filter((member) => chosen.has(member));
}

/** What a step tells that this crew did in so many milliseconds. */
export function tried(trials: Trials, crew: readonly Paced[], duration: number, setting: Setting): Trials {
  const { total, step } = setting;
  const computing = total / sum(powersOf(crew).values());
  const fresh = new Map([...trials].filter(([, trial]) => isFresh(trial, setting)));
  const known = fresh.get(crew.length);
  const sample = Math.max(0, duration - computing);
  if (known === undefined) return fresh.set(crew.length, { overhead: sample, step, steps: 1 });
  const most = computing + HICCUP * known.overhead;
  const first = known.steps === 1;
  const overhead = first ? Math.min(known.overhead, sample) : moved(known.overhead, Math.min(sample, most));
  return fresh.set(crew.length, { overhead, step, steps: known.steps + 1 });
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
    const overhead = trial && isFresh(trial, setting) && !isDoubtful(size, trials) ? trial.overhead : null;
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
 * Those that have waited longest first. A slow one waits the longer the slower it is, so that a try costs a hundredth.
 * @param rates how fast each is, by several measures: one is as slow as the worst of them
 */
function inTurn<P extends Paced>(
  members: readonly P[],
  rates: readonly ReadonlyMap<string, number>[],
  { step }: Setting,
): P[] {
  const most = rates.map((each) => Math.max(...each.values()));
  const passed = new Map(
    members.map((member) => {
      const slowness = Math.max(...rates.map((each, i) => most[i] / (each.get(member.id) ?? most[i])));
      const waits = slowness > SLOW && step - member.turn < MEMORY * slowness;
      return [member, waits ? slowness : 0];
    }),
  );
  const passedFor = (member: P) => passed.get(member) ?? 0;
  return [...members].sort((one, other) => passedFor(one) - passedFor(other) || one.turn - other.turn);
}

/** Whether it had more overhead than more workers had, in its only step: then that was a hiccup. */
function isDoubtful(size: number, trials: Trials): boolean {
  const trial = trials.get(size);
  if (trial === undefined || trial.steps > 1) return false;
  return [...trials].some(([other, { overhead }]) => other > size && overhead < trial.overhead);
}

function isFresh(trial: Trial, { step }: Setting): boolean {
  return step - trial.step <= MEMORY;
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
