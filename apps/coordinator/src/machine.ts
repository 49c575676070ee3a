import type { Range } from '@manyhands/core/reduce';
import { type Answer, type Check, checkers, checkOf, isChosen, isSame, verdict } from './checks.js';
import { crewOf, type Trials, tried } from './crew.js';
import { checkShares, secondHands, withoutHopeless } from './second-hands.js';
import { distribute, evaluationPieces, isEqual, isHeld, type Share, shareOut } from './shares.js';
import { forgiven, measured, overtaken, speedsOf } from './speeds.js';
import {
  type Assignment,
  type Command,
  type Decision,
  type Event,
  type Found,
  findAssignment,
  type Job,
  type JobKind,
  type Member,
  type State,
} from './state.js';
import { countOf, jobName, namesOf, rangeName } from './words.js';

/**
 * Every decision of a run, as one pure function: (state, event, now) → (state, commands). It has no clock, socket,
 * file or random numbers; a shell turns the world into events and carries the commands out, and a simulator can
 * do the same thousands of times a minute.
 */

/** An assignment that fails on this many tries in one job is not the workers' fault. */
const MAXIMUM_FAILURES = 8;

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
  const none = { pending: [], assigned: [], done: 0, failures: 0, checks: [], crew: [], begun: null };
  const job: Job = { kind, step, total, ...none };
  if (kind === 'evaluate') return handOut(state, { ...job, pending: evaluationPieces(total) }, now);
  const crew = nextCrew(state);
  const speeds = speedsOf(members, crew.length);
  const shares = shareOut(new Map(crew.map(({ id }) => [id, speeds.get(id) ?? 1])), total);
  const given = new Set(shares.map(({ worker }) => worker));
  const turned = members.map((member) => {
    const rested = { ...member, stretch: null }; // what was answered for of a step that began anew tells nothing
    if (!crew.includes(member)) return rested;
    return { ...(given.has(member.id) ? rested : forgiven(rested, crew)), turn: step };
  });
  // A worker's first step is not like the others: it compiles and measures.
  const begun = crew.every(({ speeds }) => speeds.size > 0) ? now : null;
  const begins: Job = { ...job, crew: crew.map(({ id }) => id), begun };
  return tellTurns(assign({ ...state, members: turned }, begins, shares, now), crew.length);
}

/** Says once that only so many take part, when that was tried before. */
function tellTurns(next: Decision, crew: number): Decision {
  const { members, trials, toldTurns } = next.state;
  if (crew === members.length || toldTurns || !trials.has(crew)) return next;
  const reason = `a step is shared among ${crew} of the ${members.length} workers, by turns: among more it would take longer`;
  const { commands } = next;
  return noted(
    { do: 'note', event: 'turns', reason },
    { state: { ...next.state, toldTurns: true }, commands },
  );
}

/** Who takes part in the next step, as far as is known. */
export function nextCrew({ members, trials, plan, step }: State): Member[] {
  return crewOf(members, trials, { total: plan.microBatches, step });
}

/**
 * Gives what is pending to the workers that are there, what is to be checked to others, and what is late to those that
 * have nothing to do.
 */
function handOut(state: State, whole: Job, now: number): Decision {
  const job = withoutHopeless(whole, state);
  const { total, assigned } = job;
  const speeds = speedsOf(state.members, job.crew.length);
  const few = job.kind === 'evaluate';
  const { shares, pending } = distribute(speeds, assigned, job.pending, { total, few });
  shares.push(...checkShares(state.members, job, [...assigned, ...shares]));
  if (state.stop !== null && state.members.length > 0 && assigned.length + shares.length === 0) {
    // Only who is not there could decide: better saved than waiting.
    return anew(state, job, [], now);
  }
  const busy = new Set([...assigned, ...shares].map(({ worker }) => worker));
  const idle = state.members.filter(({ id }) => !busy.has(id));
  const again = pending.length > 0 ? [] : secondHands(state.members, job, idle, now);
  const next = assign(state, { ...job, pending }, [...shares, ...again.map(({ share }) => share)], now);
  const notes = again.map(({ share, instead }): Command => {
    const reason = `${share.worker} computes ${countOf(share.range.count)} of ${jobName(job)} too`;
    return { do: 'note', event: 'overtaken', worker: instead, reason };
  });
  return { state: next.state, commands: [...notes, ...next.commands] };
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
    speeds: new Map(),
    power: undefined,
    turn: -1,
    lastAnswer: now,
    stretch: null,
    overtakings: 0,
    penance: 0,
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
  const begun = job.crew.includes(worker) ? null : job.begun;
  const next = handOut(without, { ...job, pending, assigned, begun }, now);
  if (orphans.length === 0) return { state: next.state, commands: [...commands, ...next.commands] };
  const count = orphans.reduce((sum, assignment) => sum + assignment.range.count, 0);
  const reason = `${countOf(count)} of ${jobName(job)} to be done by others`;
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
    const reason = `sent ${event.suspicion}, for ${rangeName(range)} of ${jobName(job)}`;
    const next = suspect(state, found, { ...event, suspicion: null }, now);
    return noted({ do: 'note', event: 'suspicious', worker, reason }, next);
  }
  const check = checkOf(job.checks, range);
  const { computed } = event;
  if (check === null || event.proof === null) return accept(state, found, computed, now);
  const own = state.members.find(({ id }) => id === worker);
  if (own === undefined) return { state, commands: [] };
  const { id, identity, kind } = own;
  return checked(
    state,
    found,
    [...check.answers, { id, identity, kind, proof: event.proof.sent }],
    { added: event.proof.added, computed },
    now,
  );
}

/** The answer counts. */
function accept(state: State, { job, assignment }: Found, computed: number, now: number): Decision {
  const { range } = assignment;
  const train = job.kind === 'train';
  const overtakenOnes = job.assigned.filter(
    (other) => other !== assignment && other.range.first === range.first,
  );
  const commands: Command[] = [
    { do: 'accept', assignment },
    ...overtakenOnes.map((other): Command => ({ do: 'cancel', assignment: other })),
  ];
  const assigned = job.assigned.filter((other) => other.range.first !== range.first);
  const paced = train
    ? pace(state, { job, assignment }, { computed, late: overtakenOnes, left: assigned }, now)
    : state;
  const done = job.done + range.count;
  const checks = job.checks.filter((check) => !isEqual(check.range, range));
  if (done < job.total) {
    const next = handOut(paced, { ...job, done, assigned, checks }, now);
    return { state: next.state, commands: [...commands, ...next.commands] };
  }
  return {
    state: { ...paced, trials: learned(paced, job, now), phase: { name: train ? 'stepping' : 'concluding' } },
    commands: [...commands, { do: train ? 'step' : 'conclude' }],
  };
}

/** What a step that is done tells of having so many share it. */
function learned({ trials, members }: State, { crew, begun, step, total }: Job, now: number): Trials {
  if (begun === null) return trials;
  const those = members.filter(({ id }) => crew.includes(id));
  return tried(trials, those, now - begun, { total, step });
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
  { added, computed }: { readonly added: string; readonly computed: number },
  now: number,
): Decision {
  const { job, assignment } = found;
  const { range } = assignment;
  const where = `${rangeName(range)} of ${jobName(job)}`;
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
    if (agreeing.some(({ proof }) => proof.digest === added)) return accept(state, found, computed, now);
    const reason = `a part of the sum for ${where} that came first is not that of ${namesOf(agreeing)}: the step begins anew`;
    return anew(state, job, [{ do: 'note', event: 'disputed', reason }], now);
  }
  const assigned = job.assigned.filter((other) => other !== assignment);
  const checks = job.checks.map((check) => (isEqual(check.range, range) ? { range, answers } : check));
  if (answers.length === 1 && !isHeld(assigned, range) && state.plan.verify < 1) {
    if (checkers({ range, answers }, state.members).length === 0) {
      const next = accept({ ...state, toldAlone: true }, found, computed, now);
      if (state.toldAlone) return next;
      const reason = 'nobody else is there to check what it computes: it is believed';
      return noted({ do: 'note', event: 'unverified', worker: assignment.worker, reason }, next);
    }
  }
  const next = handOut(
    pace(state, found, { computed, late: [], left: assigned }, now),
    { ...job, assigned, checks },
    now,
  );
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

function noted(note: Command, { state, commands }: Decision): Decision {
  return { state, commands: [note, ...commands] };
}

/** What an answer tells of the speed of those that had its range: of who gave it, who were late, with what is left to do. */
function pace(
  state: State,
  { job, assignment: { worker, range, since } }: Found,
  answer: {
    readonly computed: number;
    readonly late: readonly Assignment[];
    readonly left: readonly Assignment[];
  },
  now: number,
): State {
  const { computed, late, left } = answer;
  const { count } = range;
  const among = job.crew.length;
  const members = state.members.map((member) => {
    if (member.id === worker) {
      const idle = !left.some((other) => other.worker === worker);
      return measured(member, { count, computed, since, now, idle, among });
    }
    const own = late.find((other) => other.worker === member.id);
    return own === undefined ? member : overtaken(member, { count, since: own.since, now, among });
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
  const next = handOut(state, { ...job, failures, pending, assigned, begun: null }, now);
  const note: Command = { do: 'note', event: 'failed', worker: event.worker, reason: event.reason };
  return { state: next.state, commands: [note, ...next.commands] };
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
