import { checkOf } from '../checks.js';
import { decide, nextCrew } from '../machine.js';
import { Proofs } from '../proofs.js';
import {
  type Command,
  type Decision,
  type Event,
  findAssignment,
  initialState,
  type State,
} from '../state.js';
import { PIECES } from './arithmetic.js';
import { type Bug, forgetRanges } from './bugs.js';
import { type Content, type Milestone, repairBest, save } from './checkpoints.js';
import { DiskError, type SimulatedFolder } from './disk.js';
import { Violation } from './judge.js';
import type { CoordinatorEnd, Link, SumMessage, Word } from './link.js';
import { TICK } from './scenario.js';
import type { Process } from './timeline.js';
import { ordered, told } from './trace.js';
import { SimulatedTrainer } from './trainer.js';
import type { World } from './world.js';

/** The machine that a life of the coordinator runs on. */
export interface Host {
  readonly process: Process;
  /** The run directory. */
  readonly run: SimulatedFolder;
  /** In milliseconds, from some time on. */
  clock(): number;
  /**
   * Does the next operation; false where there was none left. It may be the machine's last.
   * @throws DiskError where the disk takes nothing at the moment
   */
  write(operations: Generator<Milestone, void>): boolean;
  /** Ends the process. */
  exit(how: { readonly complete: boolean; readonly reason: string }): void;
}

interface Session {
  readonly id: string;
  readonly link: Link;
  ready: boolean;
  /** The version of the weights that it has work for last, or is to have, and the one that was sent last. */
  wanted: number | null;
  sent: number | null;
  sending: boolean;
}

/** One life of the coordinator: what conductor, service, trainer and feed are around the machine, without any clock. */
export class Shell implements CoordinatorEnd {
  readonly process: Process;
  /** Once what the life before left undone is done. */
  listens = false;
  state: State;
  /** By the names that the machine knows them by. */
  private readonly sessions = new Map<string, Session>();
  private joined = 0;
  private readonly queue: { readonly event: Event; readonly losses: readonly number[] | null }[] = [];
  private busy = false;
  /** By assignment: the piece of its sum that comes next. */
  private readonly uploads = new Map<number, number>();
  private readonly proofs: Proofs;
  /** Names of workers that may not come back. */
  private readonly quarantined = new Set<string>();
  private readonly trainer: SimulatedTrainer;

  constructor(
    private readonly world: World,
    private readonly host: Host,
    from: Content | null,
  ) {
    this.process = host.process;
    this.proofs = new Proofs(world.scenario.seed);
    this.trainer = new SimulatedTrainer(world, host.run, from);
    const { version, evaluatedAt } = this.trainer;
    this.state = initialState(world.scenario.plan, { step: version.step, evaluatedAt }, host.clock());
    this.perform(repairBest(host.run, from), () => {
      this.listens = true;
      this.tick();
    });
  }

  stop(): void {
    this.post({ kind: 'stop', reason: 'interrupted', interrupted: true });
  }

  // What the network says.

  word(link: Link, word: Word): void {
    if (word.kind === 'hello') {
      this.welcome(link);
      return;
    }
    const session = this.sessions.get(link.session ?? '');
    if (session?.link !== link) return;
    const { id } = session;
    this.world.judge.heard(id);
    switch (word.kind) {
      case 'ready':
        if (this.quarantined.has(link.name)) {
          this.hangUp(id, 'it is quarantined');
          break;
        }
        session.ready = true;
        this.post({
          kind: 'joined',
          worker: id,
          threads: word.threads,
          identity: link.name,
          machine: 'any',
        });
        break;
      case 'heartbeat':
        this.heard(id);
        break;
      case 'evaluated':
        this.answered(id, word.assignment, word.losses);
        break;
      case 'failed':
        this.failed(id, word.assignment, 'out of memory');
        break;
      case 'goodbye':
        this.close(session, 'said goodbye');
        break;
      default:
        word satisfies never;
    }
  }

  private welcome(link: Link): void {
    if (this.quarantined.has(link.name)) {
      link.orders.send({ kind: 'refusal', reason: 'it is quarantined' });
      link.orders.send({ kind: 'hung up' });
      return;
    }
    this.joined += 1;
    const id = `${link.name}-${this.joined}`;
    link.session = id;
    this.sessions.set(id, { id, link, ready: false, wanted: null, sent: null, sending: false });
    link.orders.send({ kind: 'welcome', worker: id });
  }

  /** Sums travel in a call of their own: they may still arrive when their session is over. */
  sum(link: Link, message: SumMessage): void {
    const worker = link.session;
    if (worker === null) return;
    this.world.judge.heard(worker);
    this.heard(worker);
    if (message.kind === 'piece') this.summing(worker, message.assignment, message.piece, message.values);
    else if (this.uploads.get(message.assignment) === -1 || this.bug === 'half-sum') {
      this.answered(worker, message.assignment, message.losses, message.computed);
    } else this.failed(worker, message.assignment, 'the sum did not come whole');
  }

  broken(link: Link): void {
    const session = this.sessions.get(link.session ?? '');
    if (session?.link === link) this.close(session, 'connection lost');
  }

  private close(session: Session, reason: string): void {
    session.link.orders.send({ kind: 'hung up' });
    this.sessions.delete(session.id);
    if (!session.ready) return;
    this.world.judge.gone(session.id);
    this.post({ kind: 'left', worker: session.id, reason });
  }

  private heard(worker: string): void {
    for (const id of this.bug === 'deaf-to-death' ? this.sessions.keys() : [worker])
      this.post({ kind: 'heard', worker: id });
  }

  private summing(worker: string, assignment: number, piece: number, values: Float32Array): void {
    const found = findAssignment(this.state, { worker, assignment });
    if (found === null) {
      // Of a step that is over, or given to another.
      if (this.bug === 'doubled-answer' && this.uploads.has(assignment)) this.trainer.addStray(piece, values);
      return;
    }
    const next = this.uploads.get(assignment) ?? PIECES - 1;
    if (found.job.kind !== 'train' || piece !== next) {
      this.failed(worker, assignment, `piece ${piece} came where ${next} was expected`);
      return;
    }
    this.uploads.set(assignment, next - 1);
    const { range } = found.assignment;
    this.guard(() => {
      const added = this.trainer.add(range, piece, values);
      if (checkOf(found.job.checks, range) !== null) this.proofs.piece(assignment, range, values, added);
    });
  }

  private failed(worker: string, assignment: number, reason: string): void {
    this.post({ kind: 'failed', worker, assignment, reason });
  }

  private answered(worker: string, assignment: number, losses: readonly number[], computed = 0): void {
    const found = findAssignment(this.state, { worker, assignment });
    const job = found?.job;
    const range = found?.assignment.range;
    const isChecked = job !== undefined && range !== undefined && checkOf(job.checks, range) !== null;
    const told = { sums: losses, targets: losses.map(() => 1) };
    const proof =
      isChecked && this.bug !== 'believed-liar' ? this.proofs.whole(assignment, range, told) : null;
    const verifying = this.state.plan.verify > 0;
    const suspicion =
      verifying && job?.kind === 'train' && this.world.chance('failed') ? 'a strange sum' : null;
    const count = losses.length;
    this.post({ kind: 'answered', worker, assignment, count, computed, suspicion, proof }, losses);
    if (this.bug === 'counted-twice') this.world.judge.acceptAnyway(assignment);
  }

  // The machine's events and commands.

  private post(event: Event, losses: readonly number[] | null = null): void {
    this.queue.push({ event, losses });
    if (this.busy) return;
    this.busy = true;
    this.guard(() => {
      for (let next = this.queue.shift(); next !== undefined; next = this.queue.shift()) {
        const before = this.state;
        const line = this.world.say && told(next.event);
        if (line !== null) this.world.say?.(line);
        const { state, commands } = this.decide(next.event);
        this.state = state;
        this.world.judge.decided(before, next.event, { state, commands }, this.uploads.size);
        for (const command of commands) this.carryOut(command, next.losses);
      }
    });
    this.busy = false;
  }

  private decide(event: Event): Decision {
    const decision = decide(frozen(this.state), event, this.host.clock());
    return this.bug === 'forgotten-range' ? forgetRanges(this.state, decision) : decision;
  }

  private carryOut(command: Command, losses: readonly number[] | null): void {
    this.world.say?.(ordered(command));
    switch (command.do) {
      case 'assign': {
        const { kind: job, step, assignment } = command;
        const order = { kind: 'assignment', job, step, assignment } as const;
        const session = this.sessions.get(assignment.worker);
        if (session === undefined) break;
        session.link.orders.send(order, true);
        session.wanted = step;
        this.feed(session);
        break;
      }
      case 'cancel': {
        const { id, worker } = command.assignment;
        this.sessions.get(worker)?.link.orders.send({ kind: 'cancel', assignment: id });
        break;
      }
      case 'accept':
        this.trainer.note(command.assignment.range, losses ?? []);
        break;
      case 'clear':
        this.trainer.clear();
        this.forgetSums();
        break;
      case 'quarantine':
        if (this.bug === 'forgiven-liar') break;
        if (command.identity !== null) this.quarantined.add(command.identity);
        this.hangUp(command.worker, command.reason);
        break;
      case 'step':
        this.process.after(this.world.scenario.stepTime, () => this.guard(() => this.step()));
        break;
      case 'conclude':
        this.conclude();
        break;
      case 'save':
        this.save();
        break;
      case 'refuse':
      case 'dismiss':
        this.hangUp(command.worker, command.do === 'refuse' ? command.reason : null);
        break;
      case 'finish':
        this.finish(command.reason, command.interrupted);
        break;
      case 'abort':
        this.host.exit({ complete: false, reason: command.reason });
        break;
      default: // notes, and what a later machine asks for that a simulation need not do
    }
  }

  private hangUp(worker: string, refusal: string | null): void {
    const session = this.sessions.get(worker);
    if (session === undefined) return;
    if (refusal !== null) session.link.orders.send({ kind: 'refusal', reason: refusal });
    this.close(session, refusal ?? 'dismissed');
  }

  private step(): void {
    this.trainer.step();
    this.endJob();
    for (const { id } of nextCrew(this.state)) {
      const session = this.sessions.get(id);
      if (session === undefined) continue;
      session.wanted = this.trainer.version.step;
      this.feed(session);
    }
    for (let times = this.bug === 'stepped-twice' ? 2 : 1; times > 0; times--) this.post({ kind: 'stepped' });
    this.world.judge.inStep(this.state.step, this.trainer.version.step);
  }

  private conclude(): void {
    const improved = this.trainer.conclude();
    this.endJob();
    this.post({ kind: 'evaluated', improved });
  }

  private endJob(): void {
    if (this.bug !== 'endless-memory') this.forgetSums();
  }

  private forgetSums(): void {
    this.uploads.clear();
    this.proofs.clear();
  }

  private save(): void {
    const { keepLast } = this.world.scenario;
    const operations = save(this.host.run, this.trainer.beginSave(), { keepLast, bug: this.bug });
    this.perform(operations, () => this.post({ kind: 'saved' }));
  }

  /** Writes to the disk, one operation after the other. */
  private perform(operations: Generator<Milestone, void>, done: () => void): void {
    const next = () =>
      this.guard(() => {
        if (!this.host.write(operations)) done();
        else this.process.after(this.world.scenario.operationTime, next);
      });
    next();
  }

  /** Sends a worker that has work the newest version when it has read the one before. */
  private feed(session: Session): void {
    const { version } = this.trainer;
    const { step } = version;
    if (session.wanted !== step || session.sending || session.sent === step || !this.sessions.has(session.id))
      return;
    session.sending = true;
    session.sent = step;
    session.link.versions.send(version);
    this.process.after(this.world.scenario.bulk, () => {
      session.sending = false;
      this.feed(session);
    });
  }

  private finish(reason: string, interrupted: boolean): void {
    this.world.judge.finished(this.host.run, this.state.step);
    const farewell = { kind: 'finish', reason, resumes: interrupted } as const;
    for (const session of this.sessions.values()) session.link.orders.send(farewell);
    this.host.exit({ complete: !interrupted, reason });
  }

  private tick(): void {
    this.post({ kind: 'tick' });
    this.process.after(TICK, () => this.tick());
  }

  /** What a process that fails does: it ends. Only what the disk refuses may be a reason. */
  private guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      if (error instanceof Violation) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      if (!(error instanceof DiskError)) this.world.judge.broken(`the coordinator fails: ${reason}`);
      this.host.exit({ complete: false, reason });
    }
  }

  private get bug(): Bug | null {
    return this.world.scenario.bug;
  }
}

/** A pure function changes nothing of what it is given: one that tries to, throws. */
function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) frozen(part);
  }
  return value;
}
