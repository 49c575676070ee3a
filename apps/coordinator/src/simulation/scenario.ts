import type { Plan } from '../state.js';
import type { Bug } from './bugs.js';
import { Dice } from './timeline.js';

/**
 * Safety: anything may go wrong at any time, and nothing wrong may ever come of it. Liveness: at some time faults stop,
 * and the run must end.
 */
export type Mode = 'safety' | 'liveness';

/** What happens to machines, processes, networks, clocks and disks. */
export const FAULT_NAMES = [
  'connection breaks',
  'network stands still',
  'worker is killed',
  'worker vanishes',
  'worker hangs',
  'worker leaves',
  'worker becomes slow',
  'coordinator is killed',
  'coordinator hangs',
  'coordinator is interrupted',
  'power is lost',
  'clock jumps',
  'disk is full',
  'checkpoint is harmed',
] as const;

export type FaultName = (typeof FAULT_NAMES)[number];

export interface WorkerNature {
  readonly name: string;
  /** What it says it has. */
  readonly threads: number;
  /** Virtual milliseconds a micro-batch takes, whatever it says. */
  readonly pace: number;
  /** Never comes back once it is gone. */
  readonly mortal: boolean;
  /** Sends other sums than it computes. */
  readonly liar: boolean;
}

/** Everything that a seed decides before the first event. Times are in virtual milliseconds. */
export interface Scenario {
  readonly seed: number;
  readonly mode: Mode;
  readonly bug: Bug | null;
  readonly plan: Plan;
  readonly keepLast: number;
  readonly workers: readonly WorkerNature[];
  readonly heartbeat: number;
  readonly stepTime: number;
  readonly operationTime: number;
  /** Of a message, from the quickest to the slowest. */
  readonly latency: readonly [number, number];
  /** Of a version of the weights or a piece of a sum, beyond that. */
  readonly bulk: number;
  readonly chances: {
    /** That a message is lost, and its connection with it; that it comes twice. */
    readonly lost: number;
    readonly doubled: number;
    /** That a worker fails or answers wrongly. */
    readonly failed: number;
    /** That an operation of the disk is the last one before the process or its machine dies. */
    readonly cut: number;
  };
  readonly faults: readonly FaultName[];
  /** From one fault to the next, on average. */
  readonly faultEvery: number;
  readonly calmFrom: number;
  /** In liveness, the run is over by then. */
  readonly deadline: number;
}

export const TICK = 250;
/** What lasts longest of a fault: a hang, a half-dead connection, a restart. */
export const LONGEST_FAULT = 12_000;

/** Of the disk for one checkpoint. */
const MOST_OPERATIONS = 40;

export interface Request {
  readonly seed: number;
  readonly mode?: Mode | undefined;
  readonly workers?: number | undefined;
  readonly bug?: Bug | undefined;
}

/** The scenario of a seed. Each has only some kinds of faults: together they would hide each other's traces. */
export function scenarioOf(request: Request): Scenario {
  const { seed, bug = null } = request;
  const mode = request.mode ?? (seed % 2 === 0 ? 'safety' : 'liveness');
  const dice = new Dice(seed, 1);
  const crew = request.workers ?? dice.integer(1, 6);
  const many = crew > 50;
  const microBatches = many ? crew : dice.integer(1, 13);
  const steps = many ? 2 : dice.integer(8, 12) + Math.ceil(15 / crew);
  const evalEvery = dice.integer(0, 3);
  const minWorkers = many ? Math.floor(crew / 2) : dice.chance(0.7) ? 1 : dice.integer(1, crew);
  const lostAfter = dice.integer(4, 20) * TICK;
  const pace = dice.magnitude(10, 400);
  const workers = Array.from({ length: crew }, (_, i): WorkerNature => {
    const threads = dice.integer(1, 4);
    const honest = dice.chance(0.7);
    return {
      name: `w${i}`,
      threads,
      pace: honest ? pace / threads : dice.magnitude(pace / 8, pace * 8),
      mortal: i >= minWorkers && dice.chance(0.2),
      liar: false,
    };
  });
  const checking = checkingOf(seed, many ? [] : workers, minWorkers);
  const plan: Plan = {
    steps,
    microBatches,
    evaluationBatches: dice.integer(0, 9),
    evalEvery,
    checkpointEvery: dice.integer(0, 3),
    minWorkers: checking.minWorkers,
    maxWorkers: crew + dice.integer(0, 2),
    lostAfter,
    maxTime: dice.chance(0.1) ? dice.integer(5, 60) * 1000 : null,
    verify: checking.verify,
    seed,
  };
  const faults = FAULT_NAMES.filter(() => dice.chance(0.4));
  const chances = {
    lost: dice.chance(0.5) ? dice.magnitude(0.0005, 0.02) : 0,
    doubled: dice.chance(0.5) ? dice.magnitude(0.001, 0.3) : 0,
    failed: dice.chance(0.3) ? dice.magnitude(0.001, 0.1) : 0,
    cut: dice.chance(0.4) ? dice.magnitude(0.002, 0.1) : 0,
  };
  const calmFrom = dice.integer(2, 40) * 1000;
  // What the slowest of those that stay would need alone for everything, twice, and what is waited for in between.
  const evaluated = evalEvery > 0 ? plan.evaluationBatches * (2 + steps / evalEvery) : 0;
  const slowest = Math.max(...workers.filter(({ mortal }) => !mortal).map(({ pace }) => pace));
  const times = checking.verify === 0 ? 1 : 4;
  const work = (times * steps * microBatches + evaluated) * slowest;
  const operationTime = dice.magnitude(0.1, 60);
  const waits = 3 * LONGEST_FAULT + 4 * lostAfter + steps * (1500 + MOST_OPERATIONS * operationTime);
  return {
    seed,
    mode,
    bug,
    plan,
    keepLast: dice.chance(0.5) ? 1 : dice.integer(2, 3),
    workers: workers.map((worker) => ({ ...worker, liar: worker === checking.liar })),
    heartbeat: lostAfter / dice.integer(3, 6),
    stepTime: dice.magnitude(1, 300),
    operationTime,
    latency: [dice.magnitude(0.1, 5), dice.magnitude(5, 300)],
    bulk: dice.magnitude(0.1, 300),
    chances,
    faults,
    faultEvery: dice.magnitude(200, 5000),
    calmFrom,
    deadline: calmFrom + 2 * work + waits,
  };
}

/**
 * Whether ranges are computed twice. With a liar all of them are, and two stay that do not lie: a share of the lies is
 * not found, and two that differ need a third.
 */
function checkingOf(seed: number, workers: readonly WorkerNature[], minWorkers: number) {
  const dice = new Dice(seed, 3);
  const staying = workers.filter(({ mortal }) => !mortal);
  if (staying.length > 2 && dice.chance(0.4)) {
    const liar = dice.pick(staying);
    return { verify: 1, liar, minWorkers: Math.min(minWorkers, staying.length - 1) };
  }
  const verify = workers.length > 0 && dice.chance(0.2) ? dice.between(0.05, 0.99) : 0;
  return { verify, liar: null, minWorkers };
}
