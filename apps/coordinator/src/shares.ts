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

/**
 * All of a step at once, by speed, so that the last one ends as early as can be; each part in as few nodes of the
 * summation tree as can be, since each costs a gradient's way back.
 */
export function shareOut(speeds: Speeds, total: number): Share[] {
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
  let first = 0;
  return [...speeds.keys()].flatMap((worker, place) => {
    const count = counts[place];
    const ranges = alignedRanges(first, count, total);
    first += count;
    return ranges.map((range) => ({ worker, range }));
  });
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
