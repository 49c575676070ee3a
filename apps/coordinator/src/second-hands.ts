import { checkOf, isSame } from './checks.js';
import type { Share } from './shares.js';
import { speedsOf } from './speeds.js';
import type { Assignment, Job, Member } from './state.js';

/**
 * For workers that are idle, ranges that others hold alone and are late with: where the idle one would be done before
 * the first one is expected, or has let as much time pass since then.
 */
export function secondHands(
  members: readonly Member[],
  { assigned, checks }: Job,
  idle: readonly Member[],
  now: number,
): { readonly share: Share; readonly instead: string }[] {
  if (idle.length === 0) return [];
  if (members.every((member) => member.speed === null)) return []; // nobody knows what is late
  const speeds = speedsOf(members);
  const speed = (worker: string) => speeds.get(worker) ?? 1;
  const due = new Map(members.map(({ id, lastAnswer }) => [id, lastAnswer]));
  const holders = new Map<number, number>();
  for (const { range } of assigned) holders.set(range.first, (holders.get(range.first) ?? 0) + 1);
  const late: { readonly share: Assignment; readonly wait: number }[] = [];
  for (const share of assigned) {
    const { worker, range, since } = share;
    // A worker computes what it was given in that order.
    const expected = Math.max(since, due.get(worker) ?? since) + range.count / speed(worker);
    due.set(worker, expected);
    if (holders.get(range.first) === 1) late.push({ share, wait: Math.abs(expected - now) });
  }
  late.sort((a, b) => b.wait - a.wait);
  const found: { readonly share: Share; readonly instead: string }[] = [];
  for (const one of [...idle].sort((a, b) => speed(b.id) - speed(a.id))) {
    const { id } = one;
    const index = late.findIndex(
      ({ share }) => !checkOf(checks, share.range)?.answers.some((answer) => isSame(answer, one)),
    );
    const longest = late[index];
    if (longest === undefined || longest.share.range.count / speed(id) > longest.wait) break;
    const { worker, range } = longest.share;
    found.push({ share: { worker: id, range }, instead: worker });
    late.splice(index, 1);
  }
  return found;
}
