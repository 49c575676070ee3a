import type { Assignment, JobKind } from '../state.js';
import type { Process } from './timeline.js';
import type { World } from './world.js';

export type Order =
  | { readonly kind: 'welcome'; readonly worker: string }
  | {
      readonly kind: 'assignment';
      readonly job: JobKind;
      readonly step: number;
      readonly assignment: Assignment;
    }
  | { readonly kind: 'cancel'; readonly assignment: number }
  | { readonly kind: 'refusal'; readonly reason: string }
  | { readonly kind: 'finish'; readonly reason: string; readonly resumes: boolean }
  | { readonly kind: 'hung up' };

export type Word =
  | { readonly kind: 'ready'; readonly threads: number }
  | { readonly kind: 'hello' }
  | { readonly kind: 'heartbeat' }
  | { readonly kind: 'goodbye' }
  | { readonly kind: 'evaluated'; readonly assignment: number; readonly losses: readonly number[] }
  | { readonly kind: 'failed'; readonly assignment: number };

/** A version of the weights. */
export interface Version {
  readonly step: number;
  readonly weights: number;
}

export type SumMessage =
  | {
      readonly kind: 'piece';
      readonly assignment: number;
      readonly piece: number;
      readonly values: Float32Array;
    }
  | {
      readonly kind: 'totals';
      readonly assignment: number;
      readonly losses: readonly number[];
      /** Milliseconds that it says it computed. */
      readonly computed: number;
    };

export interface WorkerEnd {
  readonly process: Process;
  order(link: Link, order: Order): void;
  arrived(link: Link, version: Version): void;
  broken(link: Link): void;
}

export interface CoordinatorEnd {
  readonly process: Process;
  word(link: Link, word: Word): void;
  sum(link: Link, message: SumMessage): void;
  broken(link: Link): void;
}

/** Where workers dial to. */
export interface Listener {
  /** Null while nobody listens. */
  end(): CoordinatorEnd | null;
  readonly links: Set<Link>;
}

export type Direction = 'up' | 'down';

/**
 * A worker's connection: calls whose messages keep their order in each call and overtake each other between them. A
 * message that is lost takes the connection with it; the two ends notice when they do, or never.
 */
export class Link {
  broken = false;
  /** The session that it carries, once it is welcome. */
  session: string | null = null;
  readonly orders: Channel<Order>;
  readonly versions: Channel<Version>;
  readonly words: Channel<Word>;
  readonly sums: Channel<SumMessage>;
  /** Until when nothing arrives in a direction. */
  private readonly blocked = { up: 0, down: 0 };

  constructor(
    readonly world: World,
    readonly name: string,
    private readonly worker: WorkerEnd,
    private readonly coordinator: CoordinatorEnd,
  ) {
    const { bulk } = world.scenario;
    const channel = <M>(direction: Direction, receiver: Process, extra: number, take: (message: M) => void) =>
      new Channel<M>(this, direction, receiver, extra, take);
    this.orders = channel('down', worker.process, 0, (order) => worker.order(this, order));
    this.versions = channel('down', worker.process, bulk, (version) => worker.arrived(this, version));
    this.words = channel('up', coordinator.process, 0, (word) => coordinator.word(this, word));
    this.sums = channel('up', coordinator.process, bulk, (message) => coordinator.sum(this, message));
  }

  block(direction: Direction, until: number): void {
    this.blocked[direction] = Math.max(this.blocked[direction], until);
  }

  open(direction: Direction): number {
    return this.blocked[direction];
  }

  /** @param notices milliseconds until each end knows; Infinity: only by its own patience */
  cut(notices: { readonly worker: number; readonly coordinator: number }): void {
    if (this.broken) return;
    this.broken = true;
    for (const channel of [this.orders, this.versions, this.words, this.sums]) channel.clear();
    for (const [end, delay] of [
      [this.worker, notices.worker],
      [this.coordinator, notices.coordinator],
    ] as const) {
      if (end.process.alive && delay < Number.POSITIVE_INFINITY) {
        end.process.after(delay, () => end.broken(this));
      }
    }
  }

  /** As a network does it: both ends may notice late, the coordinator never. */
  fail(): void {
    const { dice } = this.world;
    this.world.say?.(`connection of ${this.name} breaks`);
    this.cut({
      worker: dice.magnitude(1, 10_000),
      coordinator: dice.chance(0.3) ? Number.POSITIVE_INFINITY : dice.magnitude(1, 10_000),
    });
  }
}

export class Channel<M> {
  private readonly queue: M[] = [];
  private last = 0;

  constructor(
    private readonly link: Link,
    private readonly direction: Direction,
    private readonly receiver: Process,
    private readonly extra: number,
    private readonly take: (message: M) => void,
  ) {}

  /** @param repeatable whether it may come twice: what a sender that is not sure sends again */
  send(message: M, repeatable = false): void {
    const { link } = this;
    const { world } = link;
    if (link.broken) return;
    if (world.chance('lost')) {
      link.fail();
      return;
    }
    const copies = repeatable && world.chance('doubled') ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      const [quickest, slowest] = world.scenario.latency;
      const { now } = world.timeline;
      this.last = Math.max(this.last, now + world.dice.magnitude(quickest, slowest) + this.extra);
      this.queue.push(message);
      world.judge.queued(this.queue.length);
      world.timeline.at(this.last, () => this.arrive());
    }
  }

  clear(): void {
    this.queue.length = 0;
  }

  private arrive(): void {
    const { link } = this;
    if (link.broken) return;
    const { timeline } = link.world;
    const until = link.open(this.direction);
    if (until > timeline.now) {
      timeline.at(until, () => this.arrive());
      return;
    }
    this.receiver.soon(() => {
      const message = this.queue.shift();
      if (message !== undefined) this.take(message);
    });
  }
}
