import type { Range } from '@manyhands/core/reduce';
import {
  type Answer,
  type Check,
  checkers,
  isChosen,
  isSame,
  type Party,
  type Proof,
  verdict,
} from './checks.js';
import { distribute, evaluationPieces, type Share, shareOut } from './shares.js';
import { forgiven, measured, overtaken, type Paced, speedsOf } from './speeds.js';

/**
 * Every decision of a run, as one pure function: (state, event, now) → (state, commands). It has no clock, socket,
 * file or random numbers; a shell turns the world into events and carries the commands out, and a simulator can
 * do the same thousands of times a minute.
 */

/** What never changes during a run. Times are in milliseconds. */
export interface Plan {
  /** Steps in all. */
  readonly steps: number;
  /** Micro-batches in a step, and in an evaluation. */
  readonly microBatches: number;
  readonly evaluationBatches: number;
  /** Every so many steps; 0 is never. The last step is always saved. */
  readonly evalEvery: number;
  readonly checkpointEvery: number;
  readonly minWorkers: number;
  readonly maxWorkers: number;
  readonly lostAfter: number;
  /** The run ends itself after this time. */
  readonly maxTime: number | null;
  /** The share of a step's ranges that count only when two workers agree; at 1, no worker is believed alone. */
  readonly verify: number;
  /** Decides which; no worker may know it. */
  readonly seed: number;
}

export type JobKind = 'train' | 'evaluate';

export interface Assignment extends Share {
  readonly id: number;
  /** When it was given. */
  readonly since: number;
}

/**
 * The work of one step or one evaluation: every micro-batch is in exactly one of pending, assigned or answered for a
 * check, and done. A range may be assigned to a second worker as well, where the first one is late: the first whole answer
 * counts.
 */
export interface Job {
  readonly kind: JobKind;
  readonly step: number;
  readonly total: number;
  readonly pending: readonly Range[];
  readonly assigned: readonly Assignment[];
  /** Micro-batches whose answers were accepted. */
  readonly done: number;
  readonly failures: number;
  readonly checks: readonly Check[];
}

export type Phase =
  /** Deciding what comes next, or waiting until enough workers are there for it. */
  | { readonly name: 'gathering' }
  | { readonly name: 'computing'; readonly job: Job }
  /** The shell steps, or concludes an evaluation; its event moves the run on. */
  | { readonly name: 'stepping' | 'concluding' }
  | { readonly name: 'finished' };

export interface Member extends Paced, Party {
  readonly lastHeard: number;
}

export interface State {
  readonly plan: Plan;
  readonly phase: Phase;
  /** Steps done; the version of the weights. */
  readonly step: number;
  readonly evaluatedAt: number;
  /** The step of the last checkpoint, which may still be under way. */
  readonly savedAt: number;
  /** A checkpoint is being written, beside whatever else is done. */
  readonly saving: boolean;
  /** The last evaluation was the best so far and is not saved yet. */
  readonly improved: boolean;
  readonly members: readonly Member[];
  readonly nextAssignment: number;
  /** Every range of this step is checked: there was something unlikely in it. */
  readonly wary: boolean;
  /** It was told that nobody is there to check. */
  readonly toldAlone: boolean;
  readonly startedAt: number;
  readonly stop: { readonly reason: string; readonly interrupted: boolean } | null;
}

export type Event =
  | {
      readonly kind: 'joined';
      readonly worker: string;
      readonly threads: number;
      readonly identity: string | null;
      /** Of machine and backend: one kind computes the same bits. */
      readonly machine: string;
    }
  | { readonly kind: 'left'; readonly worker: string; readonly reason: string }
  | { readonly kind: 'heard'; readonly worker: string }
  /**
   * `count`: micro-batches whose losses came with the answer; `suspicion`: what is unlikely about it; `proof`: where its
   * range is checked, of what was sent, and the digest of what went into the step's sum.
   */
  | {
      readonly kind: 'answered';
      readonly worker: string;
      readonly assignment: number;
      readonly count: number;
      readonly suspicion: string | null;
      readonly proof: { readonly sent: Proof; readonly added: string } | null;
    }
  | { readonly kind: 'failed'; readonly worker: string; readonly assignment: number; readonly reason: string }
  | { readonly kind: 'stepped' }
  /** `converged`: why the run is to end here, in words. */
  | { readonly kind: 'evaluated'; readonly improved: boolean; readonly converged?: string }
  | { readonly kind: 'saved' }
  | { readonly kind: 'tick' }
  | { readonly kind: 'stop'; readonly reason: string; readonly interrupted: boolean };

export type Command =
  | { readonly do: 'assign'; readonly kind: JobKind; readonly step: number; readonly assignment: Assignment }
  /** The answer counts: add it to the sum. An answer without this command is dropped. */
  | { readonly do: 'accept'; readonly assignment: Assignment }
  /** Another one has answered for the range: what its worker still computes of it is for nothing. */
  | { readonly do: 'cancel'; readonly assignment: Assignment }
  /** The step begins anew: what was added to its sum is forgotten. */
  | { readonly do: 'clear' }
  | { readonly do: 'step' | 'conclude' | 'save' }
  | { readonly do: 'refuse' | 'dismiss'; readonly worker: string; readonly reason: string }
  /** It is sent away and may not come back; the reason is the evidence. */
  | {
      readonly do: 'quarantine';
      readonly worker: string;
      readonly identity: string | null;
      readonly reason: string;
    }
  | { readonly do: 'note'; readonly event: string; readonly worker?: string; readonly reason: string }
  | { readonly do: 'finish'; readonly reason: string; readonly interrupted: boolean }
  | { readonly do: 'abort'; readonly reason: string };

export interface Decision {
  readonly state: State;
  readonly commands: readonly Command[];
}

/** An assignment that fails on this many tries in one job is not the workers' fault. */
const MAXIMUM_FAILURES = 8;

/** A run that has done and saved `step` steps, none or as many as its checkpoint says; −1: never evaluated. */
export function initialState(
  plan: Plan,
  { step, evaluatedAt }: { step: number; evaluatedAt: number },
  now: number,
): State {
  return {
    plan,
    phase: { name: 'gathering' },
    step,
    evaluatedAt,
    savedAt: step,
    saving: false,
    improved: false,
    members: [],
    nextAssignment: 1,
    wary: false,
    toldAlone: false,
    startedAt: now,
    stop: null,
  };
}

export function decide(state: State, event: Event, now: number): Decision {
  if (state.phase.name === 'finished') return { state, commands: [] };
  switch (event.kind) {
    case 'joined':
      return join(state, event, now);
    case 'left':
      return remove(state, event.worker, now, [
        { do: 'note', event: 'left', worker: event.worker, reason: event.reason },
      ]);
    case 'heard':
      return { state: heard(state, event.worker, now), commands: [] };
    case 'answered':
      return answered(heard(state, event.worker, now), event, now);
    case 'failed':
      return failed(heard(state, event.worker, now), event, now);
    case 'stepped':
      return advance(
        { ...state, step: state.step + 1, improved: false, wary: false, phase: { name: 'gathering' } },
        now,
      );
    case 'evaluated':
      return advance(
        {
          ...state,
          evaluatedAt: state.step,
          improved: event.improved,
          phase: { name: 'gathering' },
          stop:
            state.stop ??
            (event.converged === undefined ? null : { reason: event.converged, interrupted: false }),
        },
        now,
      );
    case 'saved':
      return advance({ ...state, saving: false }, now);
    case 'tick':
      return tick(state, now);
    case 'stop':
      return stop(state, { reason: event.reason, interrupted: event.interrupted }, now);
    default:
      event satisfies never;
      return { state, commands: [] };
  }
}

/** What comes next, from the numbers alone: evaluate, save while going on, finish, or compute another step. */
function advance(state: State, now: number): Decision {
  if (state.phase.name !== 'gathering') return { state, commands: [] };
  const { plan, step } = state;
  const ending = state.stop !== null || step >= plan.steps;
  const due = (every: number) => every > 0 && step % every === 0;
  const evaluationDue =
    plan.evaluationBatches > 0 &&
    state.evaluatedAt !== step &&
    (due(plan.evalEvery) || (ending && plan.evalEvery > 0)) &&
    !state.stop?.interrupted;
  if (evaluationDue) return begin(state, 'evaluate', plan.evaluationBatches, now);
  // The best may be found at a step that is saved already, after an interruption: it is marked by saving it again.
  const best = state.improved && step > 0;
  if (best || (state.savedAt !== step && (ending || due(plan.checkpointEvery)))) {
    if (state.saving) return { state, commands: [] }; // one at a time
    const next = advance({ ...state, savedAt: step, saving: true, improved: false }, now);
    return { state: next.state, commands: [{ do: 'save' }, ...next.commands] };
  }
  if (ending) {
    if (state.saving) return { state, commands: [] };
    const { reason, interrupted } = state.stop ?? {
      reason: `all ${plan.steps} steps are done`,
      interrupted: false,
    };
    return {
      state: { ...state, phase: { name: 'finished' } },
      commands: [{ do: 'finish', reason, interrupted }],
    };
  }
  return begin(state, 'train', plan.microBatches, now);
}

/** Starts a job where enough workers are there: a step is shared out at once, an evaluation piece by piece. */
function begin(state: State, kind: JobKind, total: number, now: number): Decision {
  const { members, step } = state;
  if (members.length < Math.max(1, state.plan.minWorkers)) return { state, commands: [] };
  const job: Job = { kind, step, total, pending: [], assigned: [], done: 0, failures: 0, checks: [] };
  if (kind === 'evaluate') return handOut(state, { ...job, pending: evaluationPieces(total) }, now);
  const shares = shareOut(speedsOf(members), total);
  const given = new Set(shares.map(({ worker }) => worker));
  const crew = members.map((member) => (given.has(member.id) ? member : forgiven(member, members)));
  return assign({ ...state, members: crew }, job, shares, now);
}

/**
 * Gives what is pending to the workers that are there, what is to be checked to others, and what is late to those that
 * have nothing to do.
 */
function handOut(state: State, whole: Job, now: number): Decision {
  const job = withoutHopeless(state, whole);
  const { total, assigned } = job;
  const speeds = speedsOf(state.members);
  const few = job.kind === 'evaluate';
  const { shares, pending } = distribute(speeds, assigned, job.pending, { total, few });
  shares.push(...checksOf(state, job, [...assigned, ...shares]));
  if (state.stop !== null && state.members.length > 0 && assigned.length + shares.length === 0) {
    // Only who is not there could decide: better saved than waiting.
    return anew(state, job, [], now);
  }
  const busy = new Set([...assigned, ...shares].map(({ worker }) => worker));
  const idle = state.members.filter(({ id }) => !busy.has(id));
  const again = pending.length > 0 ? [] : secondHands(state.members, job, idle, now);
  const next = assign(state, { ...job, pending }, [...shares, ...again.map(({ share }) => share)], now);
  const notes = again.map(({ share, instead }): Command => {
    const reason = `${share.worker} computes ${countOf(share.range.count)} of ${nameOf(job)} too`;
    return { do: 'note', event: 'overtaken', worker: instead, reason };
  });
  return { state: next.state, commands: [...notes, ...next.commands] };
}

function countOf(microBatches: number): string {
  return microBatches === 1 ? '1 micro-batch' : `${microBatches} micro-batches`;
}

function rangeName({ first, count }: Range): string {
  return count === 1 ? `micro-batch ${first}` : `micro-batches ${first} … ${first + count - 1}`;
}

function nameOf({ kind, step }: Job): string {
  return kind === 'train' ? `step ${step + 1}` : `the evaluation at step ${step}`;
}

/**
 * For workers that are idle, ranges that others hold alone and are late with: where the idle one would be done before
 * the first one is expected, or has let as much time pass since then.
 */
function secondHands(
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

/** Whoever has begun a range has not begun a check: that is decided when it is given out first. */
function assign(state: State, job: Job, shares: readonly Share[], now: number): Decision {
  const given = shares.map((share, i) => ({ ...share, id: state.nextAssignment + i, since: now }));
  const checks = given
    .filter(({ id, range }) => {
      if (job.kind !== 'train' || isHeld(job.assigned, range) || checkOf(job.checks, range)) return false;
      return state.wary || isChosen(state.plan, id);
    })
    .map(({ range }): Check => ({ range, answers: [] }));
  const next: Job = { ...job, assigned: [...job.assigned, ...given], checks: [...job.checks, ...checks] };
  const nextAssignment = state.nextAssignment + given.length;
  return {
    state: { ...state, phase: { name: 'computing', job: next }, nextAssignment },
    commands: given.map((assignment) => ({ do: 'assign', kind: job.kind, step: job.step, assignment })),
  };
}

function join(state: State, event: Extract<Event, { kind: 'joined' }>, now: number): Decision {
  if (state.members.some((member) => member.id === event.worker)) return { state, commands: [] };
  if (state.members.length >= state.plan.maxWorkers) {
    const reason = `the run takes at most ${state.plan.maxWorkers} workers (cluster.maxWorkers)`;
    return { state, commands: [{ do: 'refuse', worker: event.worker, reason }] };
  }
  const threads = Math.max(1, event.threads);
  const { identity, machine: kind } = event;
  const member: Member = {
    id: event.worker,
    identity,
    kind,
    threads,
    lastHeard: now,
    speed: null,
    lastAnswer: now,
  };
  const joined = { ...state, members: [...state.members, member], toldAlone: false };
  const note: Command = {
    do: 'note',
    event: 'joined',
    worker: event.worker,
    reason: `${member.threads} ${member.threads === 1 ? 'thread' : 'threads'}`,
  };
  const next =
    joined.phase.name === 'computing' ? handOut(joined, joined.phase.job, now) : advance(joined, now);
  return { state: next.state, commands: [note, ...next.commands] };
}

/** Takes a worker out; its unanswered ranges go to the others at once. */
function remove(state: State, worker: string, now: number, commands: readonly Command[]): Decision {
  if (!state.members.some((member) => member.id === worker)) return { state, commands: [] };
  const members = state.members.filter((member) => member.id !== worker);
  const without = { ...state, members };
  if (state.phase.name !== 'computing') return { state: without, commands };
  const { job } = state.phase;
  const assigned = job.assigned.filter((assignment) => assignment.worker !== worker);
  const orphans = job.assigned.filter(
    (assignment) => assignment.worker === worker && !isHeld(assigned, assignment.range),
  );
  const pending = [...job.pending, ...unanswered(job, orphans)];
  const next = handOut(without, { ...job, pending, assigned }, now);
  if (orphans.length === 0) return { state: next.state, commands: [...commands, ...next.commands] };
  const count = orphans.reduce((sum, assignment) => sum + assignment.range.count, 0);
  const reason = `${countOf(count)} of ${nameOf(job)} to be done by others`;
  return {
    state: next.state,
    commands: [...commands, { do: 'note', event: 'reassigned', worker, reason }, ...next.commands],
  };
}

function heard(state: State, worker: string, now: number): State {
  const members = state.members.map((member) =>
    member.id === worker ? { ...member, lastHeard: now } : member,
  );
  return { ...state, members };
}

/** The ranges of assignments that are over, but for those that a check has an answer for: they are not to be split. */
function unanswered({ checks }: Job, orphans: readonly Assignment[]): Range[] {
  return orphans.map(({ range }) => range).filter((range) => !checkOf(checks, range)?.answers.length);
}

function isHeld(assigned: readonly Assignment[], { first }: Range): boolean {
  return assigned.some(({ range }) => range.first === first);
}

function answered(state: State, event: Extract<Event, { kind: 'answered' }>, now: number): Decision {
  const found = findAssignment(state, event);
  if (found === null) return { state, commands: [] };
  if (event.count !== found.assignment.range.count) {
    const reason = `answered for ${event.count} micro-batches instead of ${found.assignment.range.count}`;
    return failed(state, { ...event, reason }, now);
  }
  const { job, assignment } = found;
  const { range, worker } = assignment;
  if (event.suspicion !== null) {
    const reason = `sent ${event.suspicion}, for ${rangeName(range)} of ${nameOf(job)}`;
    const next = suspect(state, found, { ...event, suspicion: null }, now);
    return noted({ do: 'note', event: 'suspicious', worker, reason }, next);
  }
  const check = checkOf(job.checks, range);
  if (check === null || event.proof === null) return accept(state, found, now);
  const own = state.members.find(({ id }) => id === worker);
  if (own === undefined) return { state, commands: [] };
  const { id, identity, kind } = own;
  return checked(
    state,
    found,
    [...check.answers, { id, identity, kind, proof: event.proof.sent }],
    event.proof.added,
    now,
  );
}

/** The answer counts. */
function accept(state: State, { job, assignment }: Found, now: number): Decision {
  const { range } = assignment;
  const train = job.kind === 'train';
  const overtakenOnes = job.assigned.filter(
    (other) => other !== assignment && other.range.first === range.first,
  );
  const commands: Command[] = [
    { do: 'accept', assignment },
    ...overtakenOnes.map((other): Command => ({ do: 'cancel', assignment: other })),
  ];
  const paced = train ? pace(state, assignment, overtakenOnes, now) : state;
  const done = job.done + range.count;
  const assigned = job.assigned.filter((other) => other.range.first !== range.first);
  const checks = job.checks.filter((check) => !isEqual(check.range, range));
  if (done < job.total) {
    const next = handOut(paced, { ...job, done, assigned, checks }, now);
    return { state: next.state, commands: [...commands, ...next.commands] };
  }
  return {
    state: { ...paced, phase: { name: train ? 'stepping' : 'concluding' } },
    commands: [...commands, { do: train ? 'step' : 'conclude' }],
  };
}

/** An unlikely answer may be right. Where it can be checked, it is, with all of the step: its sum cannot be taken out. */
function suspect(
  state: State,
  found: Found,
  event: Extract<Event, { kind: 'answered' }>,
  now: number,
): Decision {
  const { job, assignment } = found;
  const own = state.members.find(({ id }) => id === assignment.worker);
  const alone = state.members.every((other) => own === undefined || isSame(own, other));
  if (state.plan.verify === 0 || alone || checkOf(job.checks, assignment.range) !== null) {
    return answered(state, event, now);
  }
  return anew({ ...state, wary: true }, job, [], now);
}

/** One more answer for a range that is checked. */
function checked(
  state: State,
  found: Found,
  answers: readonly Answer[],
  added: string,
  now: number,
): Decision {
  const { job, assignment } = found;
  const { range } = assignment;
  const where = `${rangeName(range)} of ${nameOf(job)}`;
  const { agreeing, differing } = verdict(answers) ?? { agreeing: [], differing: [] };
  if (agreeing.length > 0) {
    if (differing.length > 0) {
      const liars = differing.filter((one, i) => differing.findIndex((other) => isSame(one, other)) === i);
      const right = `${namesOf(agreeing)} (${agreeing[0].proof.digest})`;
      const commands = liars.map(({ id, identity, proof }): Command => {
        const reason = `its sum for ${where} (${proof.digest}) is not that of ${right}`;
        return { do: 'quarantine', worker: id, identity, reason };
      });
      const members = state.members.filter((member) => !liars.some((liar) => isSame(liar, member)));
      return anew({ ...state, members }, job, commands, now);
    }
    // One that is gone may have sent a part that went in before.
    if (agreeing.some(({ proof }) => proof.digest === added)) return accept(state, found, now);
    const reason = `a part of the sum for ${where} that came first is not that of ${namesOf(agreeing)}: the step begins anew`;
    return anew(state, job, [{ do: 'note', event: 'disputed', reason }], now);
  }
  const assigned = job.assigned.filter((other) => other !== assignment);
  const checks = job.checks.map((check) => (isEqual(check.range, range) ? { range, answers } : check));
  if (answers.length === 1 && !isHeld(assigned, range) && state.plan.verify < 1) {
    if (checkers({ range, answers }, state.members).length === 0) {
      const next = accept({ ...state, toldAlone: true }, found, now);
      if (state.toldAlone) return next;
      const reason = 'nobody else is there to check what it computes: it is believed';
      return noted({ do: 'note', event: 'unverified', worker: assignment.worker, reason }, next);
    }
  }
  const next = handOut(pace(state, assignment, [], now), { ...job, assigned, checks }, now);
  if (answers.length === 1) return next;
  const reason = `${namesOf(answers)} computed different sums for ${where}: one more is to decide`;
  return noted({ do: 'note', event: 'disputed', reason }, next);
}

/** The step begins anew, with those that are there; where the run is to stop, never. */
function anew(state: State, job: Job, commands: readonly Command[], now: number): Decision {
  const cancels = job.assigned.map((assignment): Command => ({ do: 'cancel', assignment }));
  const next = advance({ ...state, phase: { name: 'gathering' } }, now);
  return { state: next.state, commands: [...cancels, ...commands, { do: 'clear' }, ...next.commands] };
}

/** Gives ranges that wait for another answer to those who can give one, the least busy first. */
function checksOf({ members }: State, { checks }: Job, held: readonly Share[]): Share[] {
  const speeds = speedsOf(members);
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
function withoutHopeless({ plan, members }: State, job: Job): Job {
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

/** The check of exactly that range; null where it is not checked. */
export function checkOf(checks: readonly Check[], range: Range): Check | null {
  return checks.find((check) => isEqual(check.range, range)) ?? null;
}

function isEqual(one: Range, other: Range): boolean {
  return one.first === other.first && one.count === other.count;
}

function namesOf(parties: readonly Party[]): string {
  return [...new Set(parties.map(({ id }) => id))].join(' and ');
}

function noted(note: Command, { state, commands }: Decision): Decision {
  return { state, commands: [note, ...commands] };
}

/** What an answer tells of the speed of those that had its range. */
function pace(
  state: State,
  { worker, range, since }: Assignment,
  late: readonly Assignment[],
  now: number,
): State {
  const members = state.members.map((member) => {
    if (member.id === worker) return measured(member, range.count, since, now);
    const own = late.find((other) => other.worker === member.id);
    return own === undefined ? member : overtaken(member, range.count, own.since, now);
  });
  return { ...state, members };
}

function failed(
  state: State,
  event: { worker: string; assignment: number; reason: string },
  now: number,
): Decision {
  const found = findAssignment(state, event);
  if (found === null) return { state, commands: [] };
  const { job, assignment } = found;
  const failures = job.failures + 1;
  if (failures >= MAXIMUM_FAILURES) {
    const reason = `step ${job.step + 1} failed ${failures} times, the last time on ${event.worker}: ${event.reason}`;
    return { state: { ...state, phase: { name: 'finished' } }, commands: [{ do: 'abort', reason }] };
  }
  const assigned = job.assigned.filter((other) => other !== assignment);
  const orphans = isHeld(assigned, assignment.range) ? [] : [assignment];
  const pending = [...job.pending, ...unanswered(job, orphans)];
  const next = handOut(state, { ...job, failures, pending, assigned }, now);
  const note: Command = { do: 'note', event: 'failed', worker: event.worker, reason: event.reason };
  return { state: next.state, commands: [note, ...next.commands] };
}

interface Found {
  readonly job: Job;
  readonly assignment: Assignment;
}

/** The assignment if its worker still holds it; null where it is over, or was given to another. */
export function findAssignment(
  state: State,
  event: { readonly worker: string; readonly assignment: number },
): Found | null {
  if (state.phase.name !== 'computing') return null;
  const { job } = state.phase;
  const assignment = job.assigned.find(
    (other) => other.id === event.assignment && other.worker === event.worker,
  );
  return assignment === undefined ? null : { job, assignment };
}

/** Dismisses the silent, gives what is late to the idle, and ends the run when its time is up. */
function tick(state: State, now: number): Decision {
  let next = state;
  const commands: Command[] = [];
  for (const { id, lastHeard } of state.members) {
    if (now - lastHeard <= state.plan.lostAfter) continue;
    const reason = `nothing heard for ${((now - lastHeard) / 1000).toFixed(1)} s`;
    const decision = remove(next, id, now, [
      { do: 'dismiss', worker: id, reason },
      { do: 'note', event: 'lost', worker: id, reason },
    ]);
    next = decision.state;
    commands.push(...decision.commands);
  }
  if (next.phase.name === 'computing') {
    const decision = handOut(next, next.phase.job, now);
    next = decision.state;
    commands.push(...decision.commands);
  }
  const { maxTime } = state.plan;
  if (maxTime !== null && now - state.startedAt >= maxTime && next.stop === null) {
    const decision = stop(
      next,
      { reason: `run.maxTime of ${maxTime / 1000} s is over`, interrupted: false },
      now,
    );
    return { state: decision.state, commands: [...commands, ...decision.commands] };
  }
  return { state: next, commands };
}

/** Ends after what is under way; where nobody is there to finish it, at once. */
function stop(state: State, request: { reason: string; interrupted: boolean }, now: number): Decision {
  const stopping = { ...state, stop: state.stop ?? request };
  if (stopping.phase.name === 'gathering') {
    // Without workers the last evaluation cannot be made: better saved than waiting.
    const hopeless = stopping.members.length === 0 ? { ...stopping, evaluatedAt: stopping.step } : stopping;
    return advance(hopeless, now);
  }
  if (stopping.phase.name === 'computing') {
    if (stopping.members.length === 0) {
      return advance({ ...stopping, evaluatedAt: stopping.step, phase: { name: 'gathering' } }, now);
    }
    if (stopping.phase.job.assigned.length === 0) return handOut(stopping, stopping.phase.job, now);
  }
  return { state: stopping, commands: [] };
}

/** What the run waits for, in words for people; null where it is computing. */
export function waitingFor(state: State): string | null {
  const { phase, plan, members } = state;
  const needed = Math.max(1, plan.minWorkers);
  if (phase.name === 'gathering' && members.length < needed) {
    return needed === 1 ? 'a worker to join' : `${needed - members.length} more of ${needed} workers to join`;
  }
  if (phase.name === 'computing') {
    const { total, done, assigned } = phase.job;
    const job = nameOf(phase.job);
    if (members.length === 0) return `a worker to go on with ${job}`;
    const [open] = phase.job.checks.filter(({ answers }) => answers.length > 0);
    if (assigned.length === 0 && open !== undefined) {
      return `another worker, to check what ${namesOf(open.answers)} computed for ${rangeName(open.range)} of ${job}`;
    }
    const slow = new Set(assigned.map((assignment) => assignment.worker));
    return `${total - done} of ${total} micro-batches of ${job} from ${[...slow].join(', ')}`;
  }
  if (phase.name === 'gathering') return state.saving ? `the checkpoint of step ${state.savedAt}` : null;
  return phase.name === 'finished' ? null : `${phase.name} at step ${state.step}`;
}
