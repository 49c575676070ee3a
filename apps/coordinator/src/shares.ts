import { alignedRanges, type Range, splitRange } from '@manyhands/core/reduce';
import { Heap } from './heap.js';

/** Who gets which part of a job: pure arithmetic over ranges of micro-batches. */

export interface Share {
  readonly worker: string;
  readonly range: Range;
}

export function isEqual(one: Range, other: Range): boolean {
  return one.first === other.first && one.count === other.count;
}

/** Whether a worker computes the range that begins there. */
export function isHeld(held: readonly Share[], { first }: Range): boolean {
  return held.some(({ range }) => range.first === first);
}

/** Workers in a fixed order, with what each of them does in some unit of time. */
export type Speeds = ReadonlyMap<string, number>;

/** When the worker at that place in the order would end with one micro-batch more. */
interface Turn {
  readonly place: number;
  readonly speed: number;
  readonly end: number;
}

/** By which a step may end later than it could, for parts that are fewer nodes; by twice that a part may be smaller. */
const SLACK = 1 / 16;

/**
 * All of a step at once, by speed, so that the last one ends nearly as early as can be, and parts begin at numbers that
 * are as round as can be: a part is then few nodes of the summation tree, each of which costs a gradient's way back.
 */
export function shareOut(speeds: Speeds, total: number): Share[] {
  const counts = byEnd(speeds, total);
  const each = [...speeds.values()];
  const end = (1 + SLACK) * Math.max(...each.map((speed, place) => counts[place] / speed));
  const most = each.map((speed, place) => (counts[place] === 0 ? 0 : Math.floor(end * speed)));
  // A slow one stands idle where its few are made fewer.
  const fewest = counts.map((count) => Math.ceil((1 - 2 * SLACK) * count));
  // What those that come after can take, and must be left.
  let able = most.reduce((sum, count) => sum + count, 0);
  let due = fewest.reduce((sum, count) => sum + count, 0);
  let [first, fairly] = [0, 0];
  return [...speeds.keys()].flatMap((worker, place) => {
    const count = counts[place];
    if (count === 0) return [];
    able -= most[place];
    due -= fewest[place];
    fairly += count;
    const least = Math.max(first + fewest[place], total - able);
    const next = roundest(least, Math.min(first + most[place], total - due), fairly);
    const ranges = alignedRanges(first, next - first, total);
    first = next;
    return ranges.map((range) => ({ worker, range }));
  });
}

/** Of the numbers from `least` to `most`, those that the largest power of two divides; of them, the one next to `fair`. */
function roundest(least: number, most: number, fair: number): number {
  let power = 1;
  while (Math.ceil(least / (2 * power)) * 2 * power <= most) power *= 2;
  const [lowest, highest] = [Math.ceil(least / power), Math.floor(most / power)];
  return power * Math.min(highest, Math.max(lowest, Math.round(fair / power)));
}

/** How many micro-batches each worker is given, where the last one ends as early as can be. */
function byEnd(speeds: Speeds, total: number): number[] {
  const counts = new Array<number>(speeds.size).fill(0);
  const next = new Heap<Turn>(
    (one, other) => one.end < other.end || (one.end === other.end && one.place < other.place),
  );
  for (const [place, speed] of [...speeds.values()].entries()) next.push({ place, speed, end: 1 / speed });
  for (let i = 0; i < total; i++) {
    const turn = next.pop();
    if (turn === undefined) break;
    const { place, speed } = turn;
    counts[place] += 1;
    next.push({ place, speed, end: (counts[place] + 1) / speed });
  }
  return counts;
}

/** Micro-batches of an evaluation that are handed out together, and how many such pieces a worker holds at most. */
const PIECE = 4;
const HELD_PIECES = 2;

/** An evaluation in pieces; its answers are small, so whoever is faster can take more of them. */
export function evaluationPieces(total: number): Range[] {
  return Array.from({ length: Math.ceil(total / PIECE) }, (_, i) => ({
    first: i * PIECE,
    count: Math.min(PIECE, total - i * PIECE),
  }));
}

/**
 * Gives what is pending to whoever is done with it first. With `few`, nobody is given more than a few pieces, and the
 * rest stays pending; without, everything is given, split where several would otherwise stand idle.
 */
export function distribute(
  speeds: Speeds,
  held: readonly Share[],
  pending: readonly Range[],
  { total, few }: { readonly total: number; readonly few: boolean },
): { readonly shares: Share[]; readonly pending: Range[] } {
  const loads = new Map([...speeds.keys()].map((id) => [id, { pieces: 0, microBatches: 0 }]));
  const load = (worker: string) => loads.get(worker) ?? { pieces: 0, microBatches: 0 };
  const hold = (worker: string, { count }: Range) => {
    const { pieces, microBatches } = load(worker);
    loads.set(worker, { pieces: pieces + 1, microBatches: microBatches + count });
  };
  for (const { worker, range } of held) hold(worker, range);

  const waiting = few
    ? [...pending]
    : pending.flatMap((range) => splitRange(range, total, Math.max(1, speeds.size)));
  const shares: Share[] = [];
  while (waiting.length > 0) {
    const [range] = waiting;
    const free = new Map([...speeds].filter(([id]) => !few || load(id).pieces < HELD_PIECES));
    const worker = soonest(free, (id) => load(id).microBatches + range.count);
    if (worker === null) break;
    hold(worker, range);
    shares.push({ worker, range });
    waiting.shift();
  }
  return { shares, pending: waiting };
}

/** Who has done so many micro-batches first; the first of equals, null of none. */
function soonest(speeds: Speeds, microBatches: (worker: string) => number): string | null {
  let best: { readonly worker: string; readonly time: number } | null = null;
  for (const [worker, speed] of speeds) {
    const time = microBatches(worker) / speed;
    if (best === null || time < best.time) best = { worker, time };
  }
  return best?.worker ?? null;
}
