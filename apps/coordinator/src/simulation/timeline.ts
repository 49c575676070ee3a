import { type RandomStream, randomStream } from '@manyhands/core/numeric';
import { Heap } from '../heap.js';

interface Entry {
  readonly time: number;
  readonly order: number;
  readonly action: () => void;
}

/** Virtual time in milliseconds: what is due happens in order of time, and of planning where times are equal. */
export class Timeline {
  now = 0;
  /** Events that have happened. */
  events = 0;
  private readonly planned = new Heap<Entry>(before);
  private order = 0;

  /** Of events that are still to come. */
  get length(): number {
    return this.planned.length;
  }

  at(time: number, action: () => void): void {
    this.planned.push({ time: Math.max(time, this.now), order: this.order++, action });
  }

  /** Lets the next event happen; false where none is left. */
  next(): boolean {
    const first = this.planned.pop();
    if (first === undefined) return false;
    this.now = first.time;
    this.events += 1;
    first.action();
    return true;
  }
}

function before(one: Entry, other: Entry): boolean {
  return one.time < other.time || (one.time === other.time && one.order < other.order);
}

/** A process of the operating system: it may die, and nothing that it planned happens; or hang, and all of it waits. */
export class Process {
  alive = false;
  private life = 0;
  private hungUntil = 0;

  constructor(private readonly timeline: Timeline) {}

  start(): void {
    this.alive = true;
  }

  die(): void {
    this.alive = false;
    this.life += 1;
    this.hungUntil = 0;
  }

  hang(milliseconds: number): void {
    this.hungUntil = Math.max(this.hungUntil, this.timeline.now + milliseconds);
  }

  /** Nothing where it is dead. */
  after(milliseconds: number, action: () => void): void {
    const { life } = this;
    if (!this.alive) return;
    this.timeline.at(this.timeline.now + milliseconds, () => this.enter(life, action));
  }

  /** Now, or when the process no longer hangs; never where it dies before. */
  soon(action: () => void): void {
    this.enter(this.life, action);
  }

  private enter(life: number, action: () => void): void {
    if (life !== this.life || !this.alive) return;
    if (this.timeline.now >= this.hungUntil) action();
    else this.timeline.at(this.hungUntil, () => this.enter(life, action));
  }
}

/** Everything by chance in a simulation comes from one stream, in the order of events. */
export class Dice {
  private readonly stream: RandomStream;

  constructor(seed: number, ...purpose: readonly number[]) {
    this.stream = randomStream(seed, ...purpose);
  }

  chance(probability: number): boolean {
    return probability > 0 && this.stream.nextFloat() < probability;
  }

  /** Uniform in [from, to). */
  between(from: number, to: number): number {
    return from + (to - from) * this.stream.nextFloat();
  }

  /** As often of each order of magnitude: mostly small, sometimes large. */
  magnitude(from: number, to: number): number {
    return from * (to / from) ** this.stream.nextFloat();
  }

  /** An integer from … to. */
  integer(from: number, to: number): number {
    return from + this.stream.below(to - from + 1);
  }

  pick<T>(list: readonly T[]): T {
    return list[this.stream.below(list.length)];
  }
}
