import type { Piece } from '@manyhands/proto';
import { GradientSum } from '../gradient-sum.js';
import {
  type Command,
  type Decision,
  decide,
  type Event,
  findAssignment,
  initialState,
  type State,
} from '../machine.js';
import { nextWeights, PIECES, pieceSize } from './arithmetic.js';
import type { Bug } from './bugs.js';
import { type Content, type Milestone, openJournal, repairBest, save } from './checkpoints.js';
import { DiskError, type SimulatedFolder } from './disk.js';
import { Violation } from './judge.js';
import type { CoordinatorEnd, Link, SumMessage, Version, Word } from './link.js';
import { TICK } from './scenario.js';
import type { Process } from './timeline.js';
import type { World } from './world.js';

/** The machine that a life of the coordinator runs on. */
export interface Host {
  readonly process: Process;
  /** The run directory. */
  readonly run: SimulatedFolder;
  /** In milliseconds, from some time on. */
  clock(): number;
  kill(): void;
  losePower(): void;
  /** @throws DiskError where the disk takes nothing at the moment */
  demandSpace(): void;
  /** Ends the process. */
  exit(how: { readonly complete: boolean; readonly reason: string }): void;
}

interface Session {
  readonly id: string;
  readonly link: Link;
  ready: boolean;
  /** The version of the weights that was sent last. */
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
  private losses: number[] = [];
  /** By assignment: the piece of its sum that comes next. */
  private readonly uploads = new Map<number, number>();
  private readonly sums: readonly GradientSum[];
  private version: Version;
  private best: Content['best'];
  private readonly journal: ReturnType<typeof openJournal>;
  /** For planted bugs alone: pieces to be added where they do not belong. */
  private readonly strays: { readonly piece: number; readonly values: Float32Array }[] = [];

  constructor(
    private readonly world: World,
    private readonly host: Host,
    from: Content | null,
  ) {
    const { scenario, judge } = world;
    const { plan } = scenario;
    this.process = host.process;
    this.best = from?.best ?? null;
    this.version = { step: from?.step ?? 0, weights: from?.weights ?? judge.calm.weights(0) };
    this.journal = openJournal(host.run, from?.lines ?? 0);
    this.sums = Array.from(
      { length: PIECES },
      () => new GradientSum(pieceSize(plan.microBatches), plan.microBatches, () => {}),
    );
    this.state = initialState(
      plan,
      { step: this.version.step, evaluatedAt: this.journal.lines.at(-1) ?? -1 },
      host.clock(),
    );
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
        session.ready = true;
        this.post({ kind: 'joined', worker: id, threads: word.threads });
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
    this.joined += 1;
    const session = { id: `${link.name}-${this.joined}`, link, ready: false, sent: null, sending: false };
    link.session = session.id;
    this.sessions.set(session.id, session);
    link.orders.send({ kind: 'welcome', worker: session.id });
    this.feed(session);
  }

  /** Sums travel in a call of their own: they may still arrive when their session is over. */
  sum(link: Link, message: SumMessage): void {
    const worker = link.session;
    if (worker === null) return;
    this.world.judge.heard(worker);
    this.heard(worker);
    if (message.kind === 'piece') this.summing(worker, message.assignment, message.piece, message.values);
    else if (this.uploads.get(message.assignment) === -1 || this.bug === 'half-sum') {
      this.answered(worker, message.assignment, message.losses);
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
    const again = found === null && this.uploads.has(assignment);
    if ((this.bug === 'arrival-order' && found !== null) || (this.bug === 'doubled-answer' && again))
      this.strays.push({ piece, values });
    if (found === null) return; // of a step that is over, or given to another
    const next = this.uploads.get(assignment) ?? PIECES - 1;
    if (found.job.kind !== 'train' || piece !== next) {
      this.failed(worker, assignment, `piece ${piece} came where ${next} was expected`);
      return;
    }
    this.uploads.set(assignment, next - 1);
    this.guard(() => this.sums[piece].add(found.assignment.range, whole(values), values));
  }

  private failed(worker: string, assignment: number, reason: string): void {
    this.post({ kind: 'failed', worker, assignment, reason });
  }

  private answered(worker: string, assignment: number, losses: readonly number[]): void {
    this.post({ kind: 'answered', worker, assignment, count: losses.length }, losses);
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
        if (next.event.kind !== 'heard' && next.event.kind !== 'tick') this.world.say?.(told(next.event));
        const { state, commands } = this.decide(next.event);
        this.state = state;
        this.world.judge.decided(before, next.event, { state, commands }, this.uploads.size);
        for (const command of commands) this.carryOut(command, next.losses);
      }
    });
    this.busy = false;
  }

  private decide(event: Event): Decision {
    const decision = decide(this.state, event, this.host.clock());
    const { phase } = decision.state;
    const fewer = decision.state.members.length < this.state.members.length;
    if (this.bug !== 'forgotten-range' || !fewer || phase.name !== 'computing') return decision;
    const given = new Set(decision.commands.flatMap((one) => (one.do === 'assign' ? one.assignment.id : [])));
    const assigned = phase.job.assigned.filter(({ id }) => !given.has(id));
    return {
      state: { ...decision.state, phase: { ...phase, job: { ...phase.job, assigned, pending: [] } } },
      commands: decision.commands.filter((one) => one.do !== 'assign'),
    };
  }

  private carryOut(command: Command, losses: readonly number[] | null): void {
    if (command.do !== 'note') this.world.say?.(`  → ${describe(command)}`);
    switch (command.do) {
      case 'assign': {
        const { kind: job, step, assignment } = command;
        const order = { kind: 'assignment', job, step, assignment } as const;
        this.sessions.get(assignment.worker)?.link.orders.send(order, true);
        break;
      }
      case 'cancel': {
        const { id, worker } = command.assignment;
        this.sessions.get(worker)?.link.orders.send({ kind: 'cancel', assignment: id });
        break;
      }
      case 'accept':
        for (const [i, loss] of (losses ?? []).entries())
          this.losses[command.assignment.range.first + i] = loss;
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
    const { judge } = this.world;
    if (this.sums.some((sum) => !sum.complete)) throw new Error('a step needs the sum of all gradients');
    const gradient = this.sums.map((sum) => sum.gradient);
    if (this.bug === 'arrival-order') for (const values of gradient) values.fill(0);
    for (const { piece, values } of this.strays) {
      for (const [i, value] of values.entries()) gradient[piece][i] += value;
    }
    const { step, weights } = this.version;
    judge.stepped(step, gradient, total(this.losses));
    this.version = { step: step + 1, weights: nextWeights(weights, gradient) };
    for (const sum of this.sums) sum.clear();
    this.endJob();
    for (const session of this.sessions.values()) this.feed(session);
    for (let times = this.bug === 'stepped-twice' ? 2 : 1; times > 0; times--) this.post({ kind: 'stepped' });
    judge.inStep(this.state.step, this.version.step);
  }

  private conclude(): void {
    const { step } = this.version;
    const loss = total(this.losses);
    this.world.judge.evaluated(step, loss);
    this.journal.append(step);
    this.endJob();
    const improved = loss < (this.best?.loss ?? Number.POSITIVE_INFINITY);
    if (improved) this.best = { step, loss };
    this.post({ kind: 'evaluated', improved });
  }

  private endJob(): void {
    this.losses = [];
    this.strays.length = 0;
    if (this.bug !== 'endless-memory') this.uploads.clear();
  }

  private save(): void {
    const { keepLast } = this.world.scenario;
    this.journal.flush();
    const lines = this.journal.lines.length;
    const read = () => ({ ...this.version, best: this.best, lines });
    this.perform(save(this.host.run, read, { keepLast, bug: this.bug }), () => this.post({ kind: 'saved' }));
  }

  /** Writes to the disk, one operation after the other. */
  private perform(operations: Generator<Milestone, void>, done: () => void): void {
    const { host, world } = this;
    const { judge, scenario, dice } = world;
    const next = (): void => {
      if (world.chance('cut')) {
        if (dice.chance(0.5)) host.losePower();
        else host.kill();
        return;
      }
      host.demandSpace();
      const { value, done: over } = operations.next();
      if (over) {
        done();
        return;
      }
      if (value.kind === 'operation') world.say?.(`disk: ${value.what}`);
      if (value.kind === 'kept') judge.kept(host.run, value.step);
      if (value.kind === 'pruning') judge.pruned(value.step);
      this.process.after(scenario.operationTime, () => this.guard(next));
    };
    this.guard(next);
  }

  /** Sends a reader the newest version when it has read the one before. */
  private feed(session: Session): void {
    const { step } = this.version;
    if (session.sending || session.sent === step || !this.sessions.has(session.id)) return;
    session.sending = true;
    session.sent = step;
    session.link.versions.send(this.version);
    this.process.after(this.world.scenario.bulk, () => {
      session.sending = false;
      this.feed(session);
    });
  }

  private finish(reason: string, interrupted: boolean): void {
    const { step, plan } = this.state;
    this.world.judge.finished(this.host.run, step);
    for (const session of this.sessions.values()) session.link.orders.send({ kind: 'finish', reason });
    this.host.exit({ complete: !interrupted && step >= plan.steps, reason });
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

function whole(values: Float32Array): Piece {
  return { index: 0, from: 0, to: values.length };
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}

function told(event: Event): string {
  const who = 'worker' in event ? ` ${event.worker}` : '';
  const which = 'assignment' in event ? ` #${event.assignment}` : '';
  const why = 'reason' in event ? `: ${event.reason}` : '';
  return `${event.kind}${who}${which}${why}`;
}

function describe(command: Command): string {
  switch (command.do) {
    case 'assign':
    case 'accept':
    case 'cancel': {
      const { id, worker, range } = command.assignment;
      return `${command.do} #${id} ${worker} ${range.first}…${range.first + range.count - 1}`;
    }
    case 'refuse':
    case 'dismiss':
      return `${command.do} ${command.worker}: ${command.reason}`;
    default:
      return command.do;
  }
}
