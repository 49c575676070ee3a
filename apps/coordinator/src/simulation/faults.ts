import { harm } from './checkpoints.js';
import type { Coordinator } from './coordinator.js';
import { type FaultName, LONGEST_FAULT } from './scenario.js';
import type { SimulatedWorker } from './worker.js';
import type { World } from './world.js';

/** All that can be harmed. */
export interface Cluster extends World {
  readonly coordinator: Coordinator;
  readonly workers: readonly SimulatedWorker[];
}

const someone = ({ dice, workers }: Cluster) => dice.pick(workers);
/** Mostly shorter than it takes to be noticed, sometimes longer. */
const aWhile = ({ dice }: Cluster) => dice.magnitude(50, LONGEST_FAULT);

/** How each fault is done. Messages have mishaps of their own. */
export const FAULTS: Readonly<Record<FaultName, (cluster: Cluster) => void>> = {
  'connection breaks': (cluster) => someone(cluster).disconnect(),
  'network stands still': (cluster) => {
    const worker = someone(cluster);
    const directions = cluster.dice.pick([['up'], ['down'], ['up', 'down']] as const);
    const time = aWhile(cluster);
    for (const direction of directions) worker.block(direction, time);
  },
  'worker is killed': (cluster) => someone(cluster).crash(false),
  'worker vanishes': (cluster) => someone(cluster).crash(true),
  'worker hangs': (cluster) => someone(cluster).hang(aWhile(cluster)),
  'worker leaves': (cluster) => someone(cluster).leave(),
  'worker becomes slow': (cluster) => {
    someone(cluster).slowness = cluster.dice.magnitude(0.5, 20);
  },
  'coordinator is killed': (cluster) => cluster.coordinator.kill(),
  'coordinator hangs': (cluster) => cluster.coordinator.hang(aWhile(cluster)),
  'coordinator is interrupted': (cluster) => cluster.coordinator.interrupt(),
  'power is lost': (cluster) => cluster.coordinator.losePower(),
  'clock jumps': (cluster) => cluster.coordinator.jump(cluster.dice.between(-3000, 8000)),
  'disk is full': ({ coordinator, timeline, dice, say }) => {
    say?.('the disk is full');
    coordinator.fullUntil = timeline.now + dice.magnitude(10, LONGEST_FAULT);
  },
  'checkpoint is harmed': ({ coordinator, judge, dice, say }) => {
    const steps = judge.mayHarm();
    if (steps.length === 0) return;
    const step = dice.chance(0.7) ? (steps.at(-1) ?? steps[0]) : dice.pick(steps);
    const how = dice.pick(['bit', 'deleted'] as const);
    say?.(`the checkpoint of step ${step} is harmed: ${how}`);
    harm(coordinator.run, step, how);
    judge.harm(step);
  },
};
