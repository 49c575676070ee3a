import { alignedRanges, type Range, splitRange } from '@manyhands/core/reduce';

/** Who gets which part of a job: pure arithmetic over ranges of micro-batches. */

export interface Share {
  readonly worker: string;
  readonly range: Range;
}

/** Workers in a fixed order, with what each of them does in some unit of time. */
export type Speeds = ReadonlyMap<string, number>;

/**
 * All of a step at once, by speed, so that the last one ends as early as can be; each part in as few nodes of the
 * summation tree as can be, since each costs a gradient's way back.
 */
export function shareOut(speeds: Speeds, total: number): Share[] {
  const counts = new Map([...speeds.keys()].map((worker) => [worker, 0]));
  for (let i = 0; i < total; i++) {
    const worker = soonest(speeds, (id) => (counts.get(id) ?? 0) + 1);
    if (worker !== null) counts.set(worker, (counts.get(worker) ?? 0) + 1);
  }
  let first = 0;
  return [...counts].flatMap(([worker, count]) => {
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
