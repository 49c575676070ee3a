import { alignedRanges, type Range, splitRange } from '@manyhands/core/reduce';

/** Who gets which part of a job: pure arithmetic over ranges of micro-batches. */

export interface Share {
  readonly worker: string;
  readonly range: Range;
}

interface Crew {
  readonly id: string;
  readonly threads: number;
}

/**
 * All of a step at once, by threads, in as few nodes of the summation tree as can be: each costs a gradient's way back.
 */
export function shareOut(crew: readonly Crew[], total: number): Share[] {
  const threads = crew.reduce((sum, member) => sum + member.threads, 0);
  const shares: Share[] = [];
  let before = 0;
  let first = 0;
  for (const member of crew) {
    before += member.threads;
    const end = Math.round((total * before) / threads);
    shares.push(...alignedRanges(first, end - first, total).map((range) => ({ worker: member.id, range })));
    first = end;
  }
  return shares;
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
 * Gives what is pending to whoever has least to do for its threads. With `few`, nobody is given more than a few pieces,
 * and the rest stays pending; without, everything is given, split where several would otherwise stand idle.
 */
export function distribute(
  crew: readonly Crew[],
  held: readonly Share[],
  pending: readonly Range[],
  { total, few }: { readonly total: number; readonly few: boolean },
): { readonly shares: Share[]; readonly pending: Range[] } {
  const loads = new Map(crew.map(({ id }) => [id, { pieces: 0, microBatches: 0 }]));
  const load = (worker: string) => loads.get(worker) ?? { pieces: 0, microBatches: 0 };
  const hold = (worker: string, { count }: Range) => {
    const { pieces, microBatches } = load(worker);
    loads.set(worker, { pieces: pieces + 1, microBatches: microBatches + count });
  };
  for (const { worker, range } of held) hold(worker, range);

  const waiting = few
    ? [...pending]
    : pending.flatMap((range) => splitRange(range, total, Math.max(1, crew.length)));
  const shares: Share[] = [];
  while (waiting.length > 0) {
    const [range] = waiting;
    const free = crew.filter(({ id }) => !few || load(id).pieces < HELD_PIECES);
    if (free.length === 0) break;
    const cost = ({ id, threads }: Crew) => (load(id).microBatches + range.count) / threads;
    const { id } = free.reduce((best, other) => (cost(other) < cost(best) ? other : best));
    hold(id, range);
    shares.push({ worker: id, range });
    waiting.shift();
  }
  return { shares, pending: waiting };
}
