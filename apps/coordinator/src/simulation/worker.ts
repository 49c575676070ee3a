import type { Assignment, JobKind } from '../state.js';
import { lossOf, PIECES, partialSum } from './arithmetic.js';
import { type Direction, Link, type Listener, type Order, type Version, type WorkerEnd } from './link.js';
import { LONGEST_FAULT, type WorkerNature } from './scenario.js';
import { Process } from './timeline.js';
import type { World } from './world.js';

type Task = Extract<Order, { kind: 'assignment' }>;

/** Milliseconds between two tries, and how long a worker that leaves waits for the coordinator to hang up. */
const FIRST_DELAY = 200;
const LONGEST_DELAY = 5000;
const FAREWELL = 2000;

/** A worker process as apps/worker is one: dials, computes what it is told with the weights it is told, dials again. */
export class SimulatedWorker implements WorkerEnd {
  readonly process: Process;
  /** Times slower than its nature. */
  slowness = 1;
  private link: Link | null = null;
  private version: Version | null = null;
  /** Until their version of the weights is here. */
  private waiting: Task[] = [];
  private readonly cancelled = new Set<number>();
  private busy = 0;
  /** What it was given in this session. */
  private readonly own = new Set<number>();
  private freeAt = 0;
  private leaving = false;
  private patience = FIRST_DELAY;

  constructor(
    private readonly world: World,
    private readonly coordinator: Listener,
    readonly nature: WorkerNature,
  ) {
    this.process = new Process(world.timeline);
  }

  start(): void {
    if (this.process.alive) return;
    this.say('starts');
    this.process.start();
    this.leaving = false;
    this.patience = FIRST_DELAY;
    this.process.after(this.world.dice.between(1, 100), () => this.dial());
  }

  /** @param silently its whole machine vanishes: the coordinator learns of it by silence alone */
  crash(silently: boolean): void {
    if (!this.process.alive) return;
    this.say(silently ? 'vanishes' : 'is killed');
    this.exit(silently ? Number.POSITIVE_INFINITY : this.world.dice.magnitude(0.1, 100));
  }

  hang(milliseconds: number): void {
    this.say(`hangs for ${Math.round(milliseconds)} ms`);
    this.process.hang(milliseconds);
  }

  /** The first Ctrl-C: what it computes is finished first. */
  leave(): void {
    if (!this.process.alive || this.leaving) return;
    this.say('is asked to leave');
    this.leaving = true;
    this.leaveWhenIdle();
  }

  /** Its connection breaks in the network. */
  disconnect(): void {
    this.link?.fail();
  }

  block(direction: Direction, milliseconds: number): void {
    this.say(
      `hears nothing ${direction === 'up' ? 'out of' : 'into'} its network for ${Math.round(milliseconds)} ms`,
    );
    this.link?.block(direction, this.world.timeline.now + milliseconds);
  }

  // What its connection brings.

  order(link: Link, order: Order): void {
    if (link !== this.link) return;
    switch (order.kind) {
      case 'welcome':
        this.patience = FIRST_DELAY;
        link.words.send({ kind: 'ready', threads: this.nature.threads });
        this.beat(link);
        this.leaveWhenIdle();
        break;
      case 'assignment':
        // One that leaves begins nothing new: what it does not answer goes to others with its goodbye.
        if (this.leaving) return;
        this.busy += 1;
        this.own.add(order.assignment.id);
        this.waiting.push(order);
        this.pass(link);
        break;
      case 'cancel':
        this.cancelled.add(order.assignment);
        break;
      case 'finish':
        if (order.resumes) {
          this.broken(link);
          break;
        }
        this.say(`ends: ${order.reason}`);
        this.exit(1);
        break;
      case 'refusal':
        this.say(`ends: ${order.reason}`);
        this.exit(1);
        break;
      case 'hung up':
        this.broken(link);
        break;
      default:
        order satisfies never;
    }
  }

  arrived(link: Link, version: Version): void {
    if (link !== this.link) return;
    this.version = version;
    this.pass(link);
  }

  broken(link: Link): void {
    if (link !== this.link) return;
    this.hangUp(0);
    if (this.leaving) {
      this.exit(0);
      return;
    }
    const { dice } = this.world;
    this.process.after(this.patience * dice.between(0.5, 1.5), () => this.dial());
    this.patience = Math.min(LONGEST_DELAY, 2 * this.patience);
  }

  // What it does.

  private dial(): void {
    if (this.link !== null) return;
    const { world } = this;
    const end = this.coordinator.end();
    const link = end && new Link(world, this.nature.name, this, end);
    if (link === null) {
      this.process.after(this.patience * world.dice.between(0.5, 1.5), () => this.dial());
      this.patience = Math.min(LONGEST_DELAY, 2 * this.patience);
      return;
    }
    this.link = link;
    this.coordinator.links.add(link);
    link.words.send({ kind: 'hello' });
  }

  private beat(link: Link): void {
    if (link !== this.link) return;
    link.words.send({ kind: 'heartbeat' }, true);
    this.process.after(this.world.scenario.heartbeat, () => this.beat(link));
  }

  /** Lets tasks begin whose version is here; those of an older one are over without this worker. */
  private pass(link: Link): void {
    const { version } = this;
    if (version === null) return;
    const anyVersion = this.world.scenario.bug === 'stale-weights';
    const due = this.waiting.filter(({ step }) => anyVersion || step <= version.step);
    this.waiting = this.waiting.filter((task) => !due.includes(task));
    for (const task of due) {
      if (anyVersion || task.step === version.step) this.compute(link, task, version);
      else this.done();
    }
  }

  private compute(link: Link, task: Task, { weights }: Version): void {
    const { world, process } = this;
    const { assignment, job, step } = task;
    const { range } = assignment;
    const { now } = world.timeline;
    const takes = range.count * this.nature.pace * this.slowness * world.dice.between(0.9, 1.1);
    this.freeAt = Math.max(now, this.freeAt) + takes;
    process.after(this.freeAt - now, () => {
      if (link !== this.link) return;
      this.done();
      if (this.cancelled.delete(assignment.id)) return;
      if (world.chance('failed') && world.dice.chance(0.5)) {
        link.words.send({ kind: 'failed', assignment: assignment.id }, true);
        return;
      }
      if (world.chance('failed')) this.lie(link, job, assignment);
      const losses = this.losses(weights, job, range.first, range.count);
      if (job === 'evaluate') {
        link.words.send({ kind: 'evaluated', assignment: assignment.id, losses }, true);
        return;
      }
      const { microBatches } = world.scenario.plan;
      const lies = this.nature.liar && world.dice.chance(0.3);
      const copies = world.chance('doubled') ? 2 : 1;
      for (let copy = 0; copy < copies; copy++) {
        for (let piece = PIECES - 1; piece >= 0; piece--) {
          const values = partialSum(weights, step, piece, range, microBatches);
          if (lies) values[0] = world.dice.chance(0.2) ? Number.NaN : values[0] + 1;
          if (world.chance('failed')) continue; // a worker that sends nonsense: a piece is missing
          link.sums.send({ kind: 'piece', assignment: assignment.id, piece, values });
        }
        const computed = world.chance('failed') ? world.dice.pick([Number.NaN, -1, 1e300]) : takes;
        link.sums.send({ kind: 'totals', assignment: assignment.id, losses, computed });
      }
    });
  }

  /** Answers for what another one was given shortly before. */
  private lie(link: Link, job: JobKind, { id, range }: Assignment): void {
    let assignment = id - 1;
    while (this.own.has(assignment)) assignment -= 1;
    const losses = Array<number>(range.count).fill(0);
    if (job === 'evaluate') link.words.send({ kind: 'evaluated', assignment, losses });
    else link.sums.send({ kind: 'totals', assignment, losses, computed: 0 });
  }

  private losses(weights: number, job: JobKind, first: number, count: number): number[] {
    const answered = this.world.chance('failed') ? count - 1 : count;
    return Array.from({ length: answered }, (_, i) => lossOf(weights, job, first + i));
  }

  private done(): void {
    this.busy -= 1;
    this.leaveWhenIdle();
  }

  private leaveWhenIdle(): void {
    if (!this.leaving || this.busy > 0) return;
    this.link?.words.send({ kind: 'goodbye' });
    this.process.after(FAREWELL, () => this.exit(0));
  }

  /** The process is gone; a person, a supervisor or a power supply brings it back. */
  private exit(notice: number): void {
    this.process.die();
    this.hangUp(notice);
    const { timeline, dice } = this.world;
    if (this.nature.mortal && dice.chance(0.3)) this.say('never comes back');
    else timeline.at(timeline.now + dice.magnitude(50, LONGEST_FAULT), () => this.start());
  }

  private hangUp(notice: number): void {
    const { link } = this;
    this.link = null;
    this.version = null;
    this.waiting = [];
    this.cancelled.clear();
    this.own.clear();
    this.busy = 0;
    this.freeAt = 0;
    if (link === null) return;
    this.coordinator.links.delete(link);
    link.cut({ worker: Number.POSITIVE_INFINITY, coordinator: notice });
  }

  private say(what: string): void {
    this.world.say?.(`${this.nature.name} ${what}`);
  }
}
