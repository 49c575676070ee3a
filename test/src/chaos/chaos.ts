import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { newestCheckpoint } from '@manyhands/core/checkpoint';
import type { RunConfig } from '@manyhands/core/config';
import { tinyConfig } from '../cluster/cluster.js';
import { learning } from '../learning.js';
import { drawFault, type FaultKind, faults } from './faults.js';
import { Network } from './network.js';
import { Random } from './random.js';
import { SmallDisk } from './small-disk.js';
import { Stage } from './stage.js';

/*
 * Chaos: runs of real processes under faults of every kind. Each must end with the weights of a calm run with one
 * worker, and with its loss at every step.
 */

export interface ChaosOptions {
  /** Of the first run's faults; the next runs have the seeds that follow. */
  readonly seed: number;
  /** Steps of a run. */
  readonly steps: number;
  readonly network: boolean;
  /** No further fault, and no further run. `seconds` are those since the calm run. */
  enough(faults: number, seconds: number): boolean;
  /** Told one line for each fault and each run. */
  log(line: string): void;
  readonly signal?: AbortSignal;
}

export interface ChaosResult {
  readonly faults: ReadonlyMap<FaultKind, number>;
  readonly runs: number;
  readonly steps: number;
  readonly seconds: number;
  readonly weightsSha256: string;
  /** Most steps that one death of the coordinator made a run compute again. */
  readonly recomputed: number;
  /** Workers that were away when a run ended, and never heard of it. */
  readonly unheard: number;
  /** What this system cannot do, and why. */
  readonly missing: readonly string[];
}

/** A run was lost, ended as it should not have, or differs from the calm one. */
export class Defect extends Error {}

export const CHECKPOINT_EVERY = 5;
const WORKERS = 3;
const GUESTS = 1;
const DISK_MEGABYTES = 24;
/** Part of the faults that come soon after the one before, within so many milliseconds. */
const SOON = 0.3;
const SOON_MILLISECONDS = 1000;
/** The others come when the run has taken up to so many steps meanwhile, or after so many milliseconds. */
const STEPS_BETWEEN = 8;
const MOST_MILLISECONDS = 8000;
/** Part of the coordinator's starts that carry a crash point, and how many operations on files off it lies at most. */
const CRASHES = 0.8;
const CRASH_OPERATIONS = 120;
/** Milliseconds without a step after which a run is lost. */
const PATIENCE = 90_000;
/** Milliseconds that workers have to end when the run is over. */
const FAREWELL = 5000;

/** What runs have in common. */
interface Scene {
  readonly folder: string;
  readonly config: RunConfig;
  readonly network: Network | null;
  readonly disk: boolean;
}

/** What a run came to: what every run of the same config must come to. */
interface Outcome {
  readonly weightsSha256: string;
  /** The lines of its metrics, without those parts that measure time, traffic and workers. */
  readonly metrics: readonly Record<string, unknown>[];
}

/**
 * Makes runs under faults until it is enough.
 * @throws Defect at the first run that is not whole, or differs; its seed and its logs are named
 */
export async function chaos(options: ChaosOptions): Promise<ChaosResult> {
  const folder = mkdtempSync(join(tmpdir(), 'manyhands-chaos-'));
  let began = performance.now();
  const seconds = () => (performance.now() - began) / 1000;
  const noDisk = SmallDisk.missing(join(folder, 'probe'));
  const noNetwork = options.network ? Network.missing() : null;
  const network = options.network && noNetwork === null ? new Network(WORKERS + GUESTS) : null;
  try {
    const missing = [
      ...(noDisk === null ? [] : [`no full disk: ${noDisk}`]),
      ...(noNetwork === null ? [] : [`no network faults: ${noNetwork}`]),
      ...(network?.netem === false ? ['no latency and no loss: this kernel has no netem'] : []),
    ];
    for (const what of missing) options.log(`skipped: ${what}`);
    const config = chaosConfig(folder, options.steps);
    const scene = { folder, config, network, disk: noDisk === null };
    const calm = await calmRun(scene);
    options.log(`${time(seconds())}  calm run: weights ${calm.weightsSha256}`);
    began = performance.now();

    const counts = new Map<FaultKind, number>();
    let [total, runs, recomputed, unheard] = [0, 0, 0, 0];
    const enough = () => options.enough(total, seconds());
    do {
      const seed = options.seed + runs;
      const run = await disturbedRun(scene, seed, calm, options.signal, {
        enough,
        count(kind, step, what) {
          total++;
          counts.set(kind, (counts.get(kind) ?? 0) + 1);
          options.log(`${time(seconds())}  seed ${seed}  step ${step}  ${kind}: ${what}`);
        },
      });
      runs++;
      recomputed = Math.max(recomputed, run.recomputed);
      unheard += run.unheard;
      options.log(`${time(seconds())}  seed ${seed}  whole, with the calm run's weights and losses`);
    } while (!enough());
    rmSync(folder, { recursive: true });
    const { weightsSha256 } = calm;
    const steps = runs * options.steps;
    return { faults: counts, runs, steps, seconds: seconds(), weightsSha256, recomputed, unheard, missing };
  } finally {
    network?.close();
  }
}

/** A tiny model with many micro-batches a step: there is something to share out, and time to disturb it. */
function chaosConfig(folder: string, steps: number): RunConfig {
  return tinyConfig(folder, {
    batch: { sequences: 32, microBatch: 1 },
    run: {
      steps,
      seed: 7,
      evalEvery: 20,
      checkpointEvery: CHECKPOINT_EVERY,
      keepLast: 3,
      reproducible: true,
    },
    cluster: { heartbeatSeconds: 0.2, lostAfterSeconds: 1.5 },
  });
}

async function calmRun({ folder, config }: Scene): Promise<Outcome> {
  const stage = await Stage.open({
    config,
    folder: join(folder, 'calm'),
    workers: 1,
    guests: 0,
    network: null,
    disk: null,
    crash: () => null,
    crashed() {},
  });
  try {
    await stage.done;
    return outcomeOf(stage.out, config);
  } finally {
    await stage.close();
  }
}

/** What a run under faults tells while it goes on. */
interface Teller {
  enough(): boolean;
  count(kind: FaultKind, step: number, what: string): void;
}

async function disturbedRun(
  { folder, config, network, disk: withDisk }: Scene,
  seed: number,
  calm: Outcome,
  signal: AbortSignal | undefined,
  { enough, count }: Teller,
): Promise<{ readonly recomputed: number; readonly unheard: number }> {
  const home = join(folder, `seed-${seed}`);
  const random = new Random(seed);
  const disk = withDisk ? new SmallDisk(join(home, 'disk'), DISK_MEGABYTES) : null;
  const stage: Stage = await Stage.open({
    config,
    folder: home,
    workers: WORKERS,
    guests: GUESTS,
    network,
    disk,
    crash() {
      if (enough() || random.next() > CRASHES) return null;
      return `${random.pick(['before', 'amid', 'after'])}:${1 + random.below(CRASH_OPERATIONS)}`;
    },
    crashed: (where) => count('coordinator crashed', stage.step, where),
  });
  const disturb = async () => {
    while (!stage.finished && !enough()) {
      await pause(stage, random);
      if (stage.finished) break;
      const kind = drawFault(stage, random);
      const { step } = stage;
      const what = await faults[kind].apply(stage, random);
      if (what !== null) count(kind, step, what);
    }
    stage.calm();
  };
  try {
    await unlessLost(stage, signal, Promise.all([stage.done, disturb()]));
    const unheard = await waitForWorkers(stage);
    const outcome = outcomeOf(stage.out, config);
    if (outcome.weightsSha256 !== calm.weightsSha256) {
      throw new Error(`the weights are ${outcome.weightsSha256}, but ${calm.weightsSha256} in the calm run`);
    }
    if (!isDeepStrictEqual(outcome.metrics, calm.metrics)) {
      throw new Error('the weights are those of the calm run, but its metrics are not');
    }
    return { recomputed: stage.recomputed, unheard };
  } catch (error) {
    await stage.close();
    if (disk !== null && existsSync(stage.out)) cpSync(stage.out, join(home, 'run'), { recursive: true });
    const reason = error instanceof Error ? error.message : String(error);
    throw new Defect(`seed ${seed}: ${reason}\n(logs and run directory: ${home})`, { cause: error });
  } finally {
    await stage.close();
    disk?.close();
  }
}

/** Lets the run get on between two faults, as a rule. */
async function pause(stage: Stage, random: Random): Promise<void> {
  const soon = random.next() < SOON;
  const until = performance.now() + (soon ? random.between(0, SOON_MILLISECONDS) : MOST_MILLISECONDS);
  let left = 1 + random.below(STEPS_BETWEEN);
  let { step } = stage;
  while (!stage.finished && performance.now() < until && (soon || left > 0)) {
    await Promise.race([stage.done, delay(50)]);
    left -= Math.max(0, stage.step - step);
    step = stage.step; // lower than before where the run was resumed
  }
}

/** Waits for the run; rejects where it takes no step any more, or somebody gave up. */
async function unlessLost(
  stage: Stage,
  signal: AbortSignal | undefined,
  run: Promise<unknown>,
): Promise<void> {
  const over = new AbortController();
  const watch = async () => {
    let [step, since] = [-1, performance.now()];
    for (;;) {
      await delay(1000, undefined, { signal: over.signal });
      signal?.throwIfAborted();
      if (stage.step !== step) [step, since] = [stage.step, performance.now()];
      if (performance.now() - since > PATIENCE) throw new Error(`lost: no step for ${PATIENCE / 1000} s`);
    }
  };
  try {
    await Promise.race([run, watch()]);
  } finally {
    over.abort();
  }
}

/** How many of the workers that were not away did not end with the run. */
async function waitForWorkers({ workers }: Stage): Promise<number> {
  const present = workers.filter(({ resting }) => !resting);
  const left = new Set(present);
  const all = present.map((worker) => worker.done.then(() => left.delete(worker)));
  await Promise.race([Promise.all(all), delay(FAREWELL)]);
  return left.size;
}

/** @throws Error where the run is not whole to its last step */
function outcomeOf(out: string, { run }: RunConfig): Outcome {
  const { checkpoint, damaged } = newestCheckpoint(out);
  if (checkpoint?.step !== run.steps || damaged.length > 0) {
    throw new Error(`the newest whole checkpoint is of step ${checkpoint?.step}, not ${run.steps}`);
  }
  return { weightsSha256: checkpoint.state.weightsSha256, metrics: learning(out) };
}

function time(seconds: number): string {
  return `${seconds.toFixed(1).padStart(7)} s`;
}
