import { checkers, checkOf, isSame } from './checks.js';
import { isEqual, isHeld, type Share } from './shares.js';
import { speedsOf } from './speeds.js';
import type { Assignment, Job, Member, Plan } from './state.js';

/** Ranges that a second worker computes too: those that are late, and those that are checked. */

/**
 * For workers that are idle, ranges that others hold alone and are late with: where the idle one needs no longer than the
 * first one is late by. One that takes part in the step, and so has its weights, gets them as well where it would be done
 * before the first one is expected.
 */
export function secondHands(
  members: readonly Member[],
  { assigned, checks, crew }: Job,
  idle: readonly Member[],
  now: number,
): { readonly share: Share; readonly instead: string }[] {
  if (idle.length === 0) return [];
  if (members.every(({ speeds }) => speeds.size === 0)) return []; // nobody knows what is late
  const speeds = speedsOf(members, crew.length);
  const speed = (worker: string) => speeds.get(worker) ?? 1;
  const due = new Map(members.map(({ id, lastAnswer }) => [id, lastAnswer]));
  const holders = new Map<number, number>();
  for (const { range } of assigned) holders.set(range.first, (holders.get(range.first) ?? 0) + 1);
  let late: { readonly share: Assignment; readonly expected: number; readonly wait: number }[] = [];
  for (const share of assigned) {
    const { worker, range, since } = share;
    // A worker computes what it was given in that order.
    const expected = Math.max(since, due.get(worker) ?? since) + range.count / speed(worker);
    due.set(worker, expected);
    if (holders.get(range.first) === 1) late.push({ share, expected, wait: Math.abs(expected - now) });
  }
  late.sort((a, b) => b.wait - a.wait);
  const found: { readonly share: Share; readonly instead: string }[] = [];
  const give = (hands: readonly Member[]) => {
    for (const one of [...hands].sort((a, b) => speed(b.id) - speed(a.id))) {
      const { id } = one;
      const longest = late.find(
        ({ share }) => !checkOf(checks, share.range)?.answers.some((answer) => isSame(answer, one)),
      );
      if (longest === undefined || longest.share.range.count / speed(id) > longest.wait) return;
      const { worker, range } = longest.share;
      found.push({ share: { worker: id, range }, instead: worker });
      late = late.filter((other) => other !== longest);
    }
  };
  const takesPart = new Set(crew.length === 0 ? members.map(({ id }) => id) : crew);
  give(idle.filter(({ id }) => takesPart.has(id)));
  late = late.filter(({ expected }) => expected < now);
  give(idle.filter(({ id }) => !takesPart.has(id)));
  return found;
}

/** Gives ranges that wait for another answer to those who can give one, the least busy first. */
export function checkShares(
  members: readonly Member[],
  { checks, crew }: Job,
  held: readonly Share[],
): Share[] {
  const speeds = speedsOf(members, crew.length);
  const shares: Share[] = [];
  for (const check of checks) {
    const { range, answers } = check;
    if (answers.length === 0 || held.some((share) => isEqual(share.range, range))) continue;
    const load = (worker: string) =>
      [...held, ...shares].reduce((sum, share) => sum + (share.worker === worker ? share.range.count : 0), 0);
    const time = ({ id }: Member) => (load(id) + range.count) / (speeds.get(id) ?? 1);
    const [first, ...others] = checkers(check, members);
    if (first === undefined) continue;
    const { id } = others.reduce((best, other) => (time(other) < time(best) ? other : best), first);
    shares.push({ worker: id, range });
  }
  return shares;
}

/**
 * Gives up checks that nobody is there for, unless no worker is believed alone, or some have differed: the range is
 * computed again and counts as one that was not chosen.
 */
export function withoutHopeless(
  job: Job,
  { plan, members }: { readonly plan: Plan; readonly members: readonly Member[] },
): Job {
  if (plan.verify === 1) return job;
  const hopeless = job.checks.filter((check) => {
    if (check.answers.length !== 1 || isHeld(job.assigned, check.range)) return false;
    return members.length > 0 && checkers(check, members).length === 0;
  });
  if (hopeless.length === 0) return job;
  return {
    ...job,
    checks: job.checks.filter((check) => !hopeless.includes(check)),
    pending: [...job.pending, ...hopeless.map(({ range }) => range)],
  };
}
