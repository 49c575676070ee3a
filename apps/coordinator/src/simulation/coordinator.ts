import { type Milestone, newest } from './checkpoints.js';
import { DiskError, SimulatedFolder } from './disk.js';
import type { CoordinatorEnd, Link, Listener } from './link.js';
import { LONGEST_FAULT } from './scenario.js';
import { type Host, Shell } from './shell.js';
import { Process } from './timeline.js';
import type { World } from './world.js';

/** The coordinator's machine: its disk and clock outlast the process, which is started again whenever it ends early. */
export class Coordinator implements Host, Listener {
  readonly process: Process;
  readonly run = new SimulatedFolder();
  readonly links = new Set<Link>();
  over = false;
  /** Until when the disk refuses writes. */
  fullUntil = 0;
  private ahead = 0;
  private shell: Shell | null = null;

  constructor(private readonly world: World) {
    this.process = new Process(world.timeline);
  }

  end(): CoordinatorEnd | null {
    return this.process.alive && this.shell?.listens ? this.shell : null;
  }

  clock(): number {
    return this.world.timeline.now + this.ahead;
  }

  jump(milliseconds: number): void {
    this.world.say?.(`the coordinator's clock jumps by ${Math.round(milliseconds)} ms`);
    this.ahead += milliseconds;
    this.world.judge.clockJumped(milliseconds);
  }

  /** From the newest whole checkpoint, or from the beginning. */
  start(): void {
    if (this.process.alive || this.over) return;
    this.process.start();
    const from = newest(this.run, this.world.scenario.bug);
    this.world.say?.(`the coordinator starts from step ${from?.step ?? 0}`);
    this.world.judge.started(this.run, from);
    this.shell = new Shell(this.world, this, from);
  }

  kill(): void {
    if (!this.process.alive) return;
    this.world.say?.('the coordinator is killed');
    this.halt(this.world.dice.magnitude(0.1, 100));
  }

  losePower(): void {
    this.world.say?.("the coordinator's machine loses power");
    if (this.process.alive) this.halt(this.world.dice.magnitude(10, 10_000));
    this.run.losePower(this.world.dice);
  }

  hang(milliseconds: number): void {
    this.world.say?.(`the coordinator hangs for ${Math.round(milliseconds)} ms`);
    this.process.hang(milliseconds);
  }

  /** Ctrl-C. */
  interrupt(): void {
    if (!this.process.alive) return;
    this.world.say?.('the coordinator is interrupted');
    this.world.judge.interrupted = true;
    this.process.soon(() => this.shell?.listens && this.shell.stop());
  }

  /** The process ends by itself. */
  exit(how: { readonly complete: boolean; readonly reason: string }): void {
    this.world.say?.(`the coordinator ends: ${how.reason}`);
    this.over = how.complete;
    this.halt(1);
  }

  write(operations: Generator<Milestone, void>): boolean {
    const { world, run } = this;
    if (world.chance('cut')) {
      if (world.dice.chance(0.5)) this.losePower();
      else this.kill();
      return true;
    }
    if (world.timeline.now < this.fullUntil) throw new DiskError('the disk is full');
    const { value, done } = operations.next();
    if (done) return false;
    if (value.kind === 'operation') world.say?.(`disk: ${value.what}`);
    if (value.kind === 'kept') world.judge.kept(run, value.step);
    if (value.kind === 'pruning') world.judge.pruned(value.step);
    return true;
  }

  /** @param notice milliseconds until workers know */
  private halt(notice: number): void {
    this.process.die();
    this.shell = null;
    for (const link of this.links) link.cut({ worker: notice, coordinator: Number.POSITIVE_INFINITY });
    this.links.clear();
    const { timeline, dice } = this.world;
    if (!this.over) timeline.at(timeline.now + dice.magnitude(100, LONGEST_FAULT), () => this.start());
  }
}
