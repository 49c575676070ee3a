import { isAligned, type Range } from '@manyhands/core/reduce';
import type { Assignment, Decision, Event, State } from '../state.js';
import { waitingFor } from '../words.js';
import { CalmRun, countsIn } from './arithmetic.js';
import { bestStep, type Content, readCheckpoint, savedSteps } from './checkpoints.js';
import type { SimulatedFolder } from './disk.js';
import { type Scenario, TICK } from './scenario.js';
import type { Timeline } from './timeline.js';

/** An invariant is broken; the message is the sentence. */
export class Violation extends Error {}

/** The step or evaluation under way, as its commands told it. */
interface Ledger {
  readonly key: string;
  readonly total: number;
  readonly given: Map<number, Assignment>;
  /** How often each micro-batch was counted. */
  readonly counts: number[];
  failures: number;
}

/** Fewer failed answers than this are no reason to give a run up. */
const FEW_FAILURES = 5;
const MOST_QUEUED = 2000;

/** Watches a simulation from outside and knows what a calm run comes to. Every method throws a Violation. */
export class Judge {
  readonly calm: CalmRun;
  private ledger: Ledger | null = null;
  private lastId = 0;
  /** By session: from when on, and until when at the latest, it may be dismissed as silent. */
  private readonly patience = new Map<string, { readonly from: number; readonly until: number }>();
  /** Checkpoints that must outlast everything but harm done to them. */
  private readonly promised = new Set<number>();
  private readonly harmed = new Set<number>();
  /** Names of workers that this life of the coordinator sent away. */
  private readonly quarantined = new Set<string>();
  readonly evaluations = new Set<number>();
  interrupted = false;
  private endedAt = 0;

  constructor(
    private readonly scenario: Scenario,
    private readonly timeline: Timeline,
  ) {
    const { microBatches, evaluationBatches } = scenario.plan;
    this.calm = new CalmRun(scenario.seed, microBatches, evaluationBatches);
  }

  broken(sentence: string): never {
    throw new Violation(sentence);
  }

  // What is on the disk.

  /** A new life of the coordinator, from what it found. */
  started(run: SimulatedFolder, from: Content | null): void {
    this.ledger = null;
    this.lastId = 0;
    this.patience.clear();
    this.quarantined.clear();
    for (const step of savedSteps(run)) {
      if (this.harmed.has(step)) continue;
      const content = readCheckpoint(run, step);
      if (content === null) this.broken(`the checkpoint of step ${step} has its name but is not whole`);
      if (content.weights !== this.calm.weights(step)) {
        this.broken(`the checkpoint of step ${step} has other weights than the calm run had then`);
      }
    }
    const least = Math.max(0, ...this.promised);
    const step = from?.step ?? 0;
    if (step < least) this.broken(`the run goes on from step ${step} though step ${least} was saved`);
    if (from !== null) this.promised.add(step);
  }

  /** From now on the checkpoint outlasts a power loss. */
  kept(run: SimulatedFolder, step: number): void {
    if (readCheckpoint(run, step)?.weights !== this.calm.weights(step)) {
      this.broken(`the checkpoint of step ${step} was saved, but is not what the calm run had then`);
    }
    this.promised.add(step);
    this.harmed.delete(step);
  }

  pruned(step: number): void {
    this.promised.delete(step);
  }

  /** The checkpoints that may be harmed, oldest first: one always stays. */
  mayHarm(): number[] {
    return this.promised.size > 1 ? [...this.promised].sort((a, b) => a - b) : [];
  }

  harm(step: number): void {
    this.promised.delete(step);
    this.harmed.add(step);
  }

  finished(run: SimulatedFolder, step: number): void {
    this.endedAt = step;
    if (step > 0 && !this.harmed.has(step) && readCheckpoint(run, step) === null) {
      this.broken(`the run ends at step ${step}, which is not on the disk`);
    }
  }

  /** After the last power loss that there may be. */
  complete(run: SimulatedFolder): void {
    const { steps, evalEvery, evaluationBatches, maxTime } = this.scenario.plan;
    const { endedAt } = this;
    if (endedAt < steps && maxTime === null)
      this.broken(`the run is over after ${endedAt} of ${steps} steps`);
    if (endedAt === 0 || this.harmed.has(endedAt)) return;
    const [last] = savedSteps(run);
    if (last !== endedAt) {
      this.broken(`the run is over, but the newest checkpoint is of step ${last ?? 0}, not ${endedAt}`);
    }
    const weights = readCheckpoint(run, last)?.weights;
    if (weights !== this.calm.weights(endedAt))
      this.broken('the final weights are not those of the calm run');
    // A run that was ended by its time makes its last evaluation sooner, or with nobody there not at all.
    if (evalEvery === 0 || evaluationBatches === 0 || maxTime !== null) return;
    const due = Array.from({ length: steps + 1 }, (_, i) => i).filter(
      (i) => i % evalEvery === 0 || i === steps,
    );
    const missing = due.find((step) => !this.evaluations.has(step));
    if (missing !== undefined) this.broken(`the evaluation at step ${missing} was never made`);
    const losses = due.map((step) => this.calm.loss('evaluate', step));
    const best = due[losses.indexOf(Math.min(...losses))];
    if (best > 0 && bestStep(run) !== best)
      this.broken(`best is step ${bestStep(run)}, but in a calm run step ${best}`);
  }

  // What the coordinator hears, and its clock.

  heard(session: string): void {
    const from = this.timeline.now + this.scenario.plan.lostAfter;
    this.patience.set(session, { from, until: from + TICK });
  }

  gone(session: string): void {
    this.patience.delete(session);
  }

  /** A clock that goes back makes the coordinator wait as much longer, one that leaps as much shorter. */
  clockJumped(milliseconds: number): void {
    for (const [session, { from, until }] of this.patience) {
      this.patience.set(session, {
        from: from - Math.max(0, milliseconds),
        until: until - Math.min(0, milliseconds),
      });
    }
  }

  queued(length: number): void {
    if (length > MOST_QUEUED) this.broken(`${length} messages wait in one queue`);
  }

  // What the machine decides.

  decided(before: State, event: Event, { state, commands }: Decision, uploads: number): void {
    if (state.step < before.step) this.broken(`the step went back from ${before.step} to ${state.step}`);
    for (const command of commands) {
      switch (command.do) {
        case 'assign':
          this.assigned(before, state, command.kind, command.step, command.assignment);
          break;
        case 'accept':
          this.accepted(command.assignment.id);
          break;
        case 'step':
        case 'conclude':
          this.completed();
          break;
        case 'clear':
          this.ledger = null;
          break;
        case 'quarantine':
          this.sentAway(command.identity);
          break;
        case 'dismiss':
          this.dismissed(command.worker);
          break;
        case 'abort':
          if ((this.ledger?.failures ?? 0) < FEW_FAILURES) this.broken(`the run gives up: ${command.reason}`);
          break;
        default:
      }
    }
    if (event.kind === 'heard') return;
    if (this.ledger !== null && (event.kind === 'failed' || event.kind === 'answered'))
      this.ledger.failures += 1;
    const cleared = commands.some((command) => command.do === 'clear');
    this.bounded(state, cleared ? 0 : uploads);
    if (state.phase.name === 'computing') this.covered(state);
    if (event.kind === 'tick') this.noticed(state);
    const idle = state.phase.name === 'gathering' || state.phase.name === 'computing';
    if (idle && state.members.length === 0 && waitingFor(state) === null) {
      this.broken('nobody is there, and the run does not say that it waits');
    }
  }

  private assigned(
    before: State,
    state: State,
    kind: 'train' | 'evaluate',
    step: number,
    assignment: Assignment,
  ): void {
    const { id, worker, range } = assignment;
    const { microBatches, evaluationBatches } = this.scenario.plan;
    const total = kind === 'train' ? microBatches : evaluationBatches;
    const key = `${kind} ${step}`;
    if (this.ledger?.key !== key) {
      if (state.members.length < this.scenario.plan.minWorkers) {
        this.broken(`${key} begins with ${state.members.length} workers, fewer than cluster.minWorkers`);
      }
      this.ledger = { key, total, given: new Map(), counts: Array(total).fill(0), failures: 0 };
    }
    if (step !== state.step) this.broken(`work for step ${step} is given while the run is at ${state.step}`);
    if (id <= this.lastId) this.broken(`assignment ${id} is given a second time`);
    this.lastId = id;
    if (kind === 'train' && !isAligned(range, total)) {
      this.broken(`micro-batches ${words(range)} of ${total} are no node of the batch's tree`);
    }
    if (![...before.members, ...state.members].some((member) => member.id === worker)) {
      this.broken(`micro-batches ${words(range)} are given to ${worker}, who is not there`);
    }
    const name = worker.slice(0, worker.lastIndexOf('-'));
    if (this.quarantined.has(name)) this.broken(`${worker} is given work, but ${name} is quarantined`);
    this.ledger.given.set(id, assignment);
  }

  private sentAway(name: string | null): void {
    if (!this.scenario.workers.some((worker) => worker.liar && worker.name === name)) {
      this.broken(`${name} is quarantined, who does not lie`);
    }
    if (name !== null) this.quarantined.add(name);
  }

  private accepted(id: number): void {
    const { ledger } = this;
    const range = ledger?.given.get(id)?.range;
    if (!ledger || !range) {
      throw new Violation(`the answer of assignment ${id} counts in a step that it is not of`);
    }
    for (let i = range.first; i < range.first + range.count; i++) {
      ledger.counts[i] += 1;
      if (ledger.counts[i] > 1) this.broken(`micro-batch ${i} of ${ledger.key} is counted twice`);
    }
  }

  /** For a planted bug: an answer counts whatever the machine says. */
  acceptAnyway(id: number): void {
    const range = this.ledger?.given.get(id)?.range;
    if (range && this.ledger?.counts[range.first] === 0) this.accepted(id);
  }

  private completed(): void {
    const missing = this.ledger?.counts.findIndex((count) => count !== 1) ?? 0;
    if (missing >= 0) this.broken(`${this.ledger?.key} is complete without micro-batch ${missing}`);
  }

  /** Every micro-batch is done, with a worker that is there, or waits to be given out. */
  private covered({ phase, members }: State): void {
    if (phase.name !== 'computing' || this.ledger === null) return;
    const { job } = phase;
    const present = new Set(members.map(({ id }) => id));
    const somewhere =
      this.ledger.key === `${job.kind} ${job.step}` ? [...this.ledger.counts] : Array(job.total).fill(0);
    const mark = ({ first, count }: Range) => somewhere.fill(1, first, first + count);
    for (const { worker, range } of job.assigned) {
      if (!present.has(worker)) this.broken(`micro-batches ${words(range)} lie with ${worker}, who is gone`);
      mark(range);
    }
    for (const range of job.pending) mark(range);
    for (const { range, answers } of job.checks) if (answers.length > 0) mark(range);
    const idle = members.find(({ id }) => !job.assigned.some(({ worker }) => worker === id));
    if (job.pending.length > 0 && idle !== undefined) {
      this.broken(`${idle.id} is idle while micro-batches ${words(job.pending[0])} wait`);
    }
    const lost = somewhere.indexOf(0);
    if (lost >= 0) this.broken(`micro-batch ${lost} of ${job.kind} ${job.step} is forgotten`);
  }

  private dismissed(worker: string): void {
    const early = (this.patience.get(worker)?.from ?? 0) - this.timeline.now;
    if (early > 1)
      this.broken(`${worker} is dismissed ${Math.round(early)} ms before its silence is long enough`);
  }

  private noticed({ members }: State): void {
    const { now } = this.timeline;
    for (const { id } of members) {
      const until = this.patience.get(id)?.until ?? Number.POSITIVE_INFINITY;
      if (now > until + 1) {
        this.broken(`${id} is silent for ${Math.round(now - until)} ms longer than the detection time`);
      }
    }
  }

  private bounded({ phase, members }: State, uploads: number): void {
    const { maxWorkers, microBatches, evaluationBatches } = this.scenario.plan;
    if (members.length > maxWorkers) this.broken(`${members.length} workers where ${maxWorkers} are allowed`);
    const given = this.ledger?.given.size ?? 0;
    if (uploads > given) this.broken(`${uploads} uploads are remembered of ${given} assignments`);
    if (phase.name !== 'computing') return;
    const { assigned, pending } = phase.job;
    const most = 2 * Math.max(microBatches, evaluationBatches) + members.length;
    if (assigned.length + pending.length > most) {
      this.broken(
        `${assigned.length} assignments and ${pending.length} ranges are held where ${most} are enough`,
      );
    }
  }

  // What the trainer does.

  stepped(step: number, gradient: readonly Float32Array[], loss: number): void {
    const { microBatches } = this.scenario.plan;
    const expected = this.calm.gradient(step);
    for (const [piece, values] of gradient.entries()) {
      const counts = countsIn(values, microBatches);
      const wrong = counts.findIndex((count) => count !== 1);
      if (wrong >= 0) {
        this.broken(
          `micro-batch ${wrong} is ${counts[wrong]} times in piece ${piece} of the sum of step ${step}`,
        );
      }
      if (values[0] !== expected[piece][0]) {
        this.broken(`the sum of step ${step} is of other weights, or not along the batch's tree`);
      }
    }
    if (loss !== this.calm.loss('train', step))
      this.broken(`the loss of step ${step} is not that of the calm run`);
  }

  inStep(step: number, version: number): void {
    if (step !== version) this.broken(`the machine is at step ${step} and the weights at ${version}`);
  }

  evaluated(step: number, loss: number): void {
    this.evaluations.add(step);
    if (loss !== this.calm.loss('evaluate', step)) {
      this.broken(`the evaluation at step ${step} has another loss than in the calm run`);
    }
  }
}

function words({ first, count }: Range): string {
  return count === 1 ? `${first}` : `${first} … ${first + count - 1}`;
}
