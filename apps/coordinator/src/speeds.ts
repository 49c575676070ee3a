/** How fast workers are, as measured by their answers; times are in milliseconds. */

export interface Paced {
  readonly id: string;
  readonly threads: number;
  /** Micro-batches of a step in a millisecond, by how many shared the step: what is on its way takes longer among many. */
  readonly speeds: ReadonlyMap<number, number>;
  /** The same as its threads compute them, without anything on its way, as it says itself. */
  readonly power: number | undefined;
  /** The last step that it took part in; −1 for none. */
  readonly turn: number;
  /** When it last answered for a step: what it was given before, it began then. */
  readonly lastAnswer: number;
  /** What it has answered for since it was last idle, how long it says that it computed for that, and since when that is. */
  readonly stretch: { readonly since: number; readonly count: number; readonly computed: number } | null;
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
/** Sizes of crews that a worker's speed is remembered of: 1, 2, 4 … up to a thousand. */
const REMEMBERED = 11;
/** Milliseconds that a micro-batch is believed to be computed in at the least, whatever its worker says. */
const LEAST = 1e-3;

/**
 * Micro-batches in a millisecond: as measured, or as others of that power.
 * @param among in steps of so many, or as many as is next to that of what was measured
 */
export function speedsOf(members: readonly Paced[], among: number): ReadonlyMap<string, number> {
  const powers = powersOf(members);
  const power = ({ id }: Paced) => powers.get(id) ?? 1;
  const sizes = members.flatMap(({ speeds }) => [...speeds.keys()]);
  const off = (size: number) => Math.abs(size - among);
  const nearest = sizes.reduce((one, other) => (off(other) < off(one) ? other : one), sizes[0]);
  const each = mean(members.map((member) => ratio(member.speeds.get(nearest), power(member)))) ?? 1;
  return new Map(members.map((member) => [member.id, member.speeds.get(nearest) ?? each * power(member)]));
}

/** The same of computing alone: as told, or as others of as many threads; by threads alone where nobody has told. */
export function powersOf(crew: readonly Paced[]): ReadonlyMap<string, number> {
  const each = mean(crew.map(({ power, threads }) => ratio(power, threads))) ?? 1;
  return new Map(crew.map(({ id, threads, power }) => [id, power ?? each * threads]));
}

/** What a worker was given, and how it went. */
interface Answer {
  readonly count: number;
  readonly since: number;
  readonly now: number;
  /** How many shared the step. */
  readonly among: number;
}

/**
 * A worker that was given `count` micro-batches at `since` answered at `now`. Its speed is that of all that it does until
 * it is idle: one range alone may have waited for the weights, or be small for the sum that is sent for it.
 * @param computed how long its threads computed for it, as it says: it may say anything
 * @param idle whether it has nothing else to do
 */
export function measured<P extends Paced>(
  worker: P,
  answer: Answer & { readonly computed: number; readonly idle: boolean },
): P {
  const { now, idle, among } = answer;
  const since = worker.stretch?.since ?? Math.max(answer.since, worker.lastAnswer);
  const count = (worker.stretch?.count ?? 0) + answer.count;
  const said = Math.min(answer.computed || 0, now - answer.since); // NaN is false
  const computed = (worker.stretch?.computed ?? 0) + Math.max(LEAST * answer.count, said);
  const answered = { ...worker, lastAnswer: now, overtakings: 0, penance: 0 };
  if (!idle) return { ...answered, stretch: { since, count, computed } };
  const speed = moved(worker.speeds.get(among), rate(count, now - since));
  const power = moved(worker.power, count / computed);
  return { ...answered, speeds: known(worker, among, speed), power, stretch: null };
}

/** It had not answered at `now`, when others had done its part: it is no faster than that. */
export function overtaken<P extends Paced>(worker: P, { count, since, now, among }: Answer): P {
  const begun = worker.stretch ?? { since: Math.max(since, worker.lastAnswer), count: 0 };
  const most = rate(begun.count + count, now - begun.since);
  const speed = Math.min(worker.speeds.get(among) ?? most, most);
  const penance = Math.min(LONGEST_PENANCE, 2 ** worker.overtakings - 1);
  const overtakings = worker.overtakings + 1;
  const speeds = known(worker, among, speed);
  return { ...worker, speeds, lastAnswer: now, stretch: null, overtakings, penance };
}

/** After a step of `crew` in which `idle`, one of them, was given nothing. */
export function forgiven<P extends Paced>(idle: P, crew: readonly Paced[]): P {
  const among = crew.length;
  const speed = idle.speeds.get(among);
  if (speed === undefined) return idle;
  if (idle.penance > 0) return { ...idle, penance: idle.penance - 1 };
  const each = mean(crew.map(({ speeds, threads }) => ratio(speeds.get(among), threads))) ?? 1;
  return { ...idle, speeds: known(idle, among, speed + FORGIVENESS * (idle.threads * each - speed)) };
}

/** Its speeds with this one among them; the one that was measured longest ago is forgotten. */
function known({ speeds }: Paced, among: number, speed: number): ReadonlyMap<number, number> {
  const others = [...speeds].filter(([size]) => size !== among);
  return new Map([...others.slice(1 - REMEMBERED), [among, speed]]);
}

/** A running mean with one more sample. */
export function moved(former: number | undefined, sample: number): number {
  return former === undefined ? sample : former + WEIGHT * (sample - former);
}

function rate(count: number, milliseconds: number): number {
  return count / Math.max(1, milliseconds);
}

function ratio(rate: number | undefined, size: number): number | undefined {
  return rate === undefined ? undefined : rate / size;
}

/** Of those that are known; undefined where none is. */
function mean(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : known.reduce((sum, value) => sum + value, 0) / known.length;
}
