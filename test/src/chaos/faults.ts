import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { checkpointSteps, verifyCheckpoint } from '@manyhands/core/checkpoint';
import { describeEnd, type Kept, launch } from './kept.js';
import type { LineFault } from './network.js';
import type { Random } from './random.js';
import type { Stage } from './stage.js';

interface FaultType {
  /** How often it is drawn, beside the others'. */
  readonly weight: number;
  readonly needs?: 'network' | 'disk' | 'netem';
  /** Ends the coordinator. */
  readonly deadly?: boolean;
  /** Does it, and says what was done; null where it cannot be done at this moment. */
  apply(stage: Stage, random: Random): string | null | Promise<string | null>;
}

/** Shorter, and longer, than a silence for which a process is given up, as parts of that time. */
const MOMENT = [0.1, 0.6] as const;
const LONG = [1.3, 2.5] as const;

/** Every kind of fault. */
export const faults = {
  'worker killed': {
    weight: 6,
    apply(stage, random) {
      const worker = someWorker(stage, random);
      return worker?.signal('SIGKILL') ? worker.name : null;
    },
  },
  'worker stopped for a moment': { weight: 3, apply: (stage, random) => stop(stage, random, MOMENT) },
  'worker hung': { weight: 3, apply: (stage, random) => stop(stage, random, LONG) },
  'worker left': {
    weight: 3,
    apply(stage, random) {
      const worker = someWorker(stage, random);
      return worker === null ? null : away(stage, worker, random.between(300, 3000));
    },
  },
  'worker joined': {
    weight: 2,
    apply(stage, random) {
      const guest = stage.workers.slice(stage.options.workers).find(({ busy }) => !busy);
      if (guest === undefined || !stage.serving) return null;
      guest.busy = true;
      guest.wake();
      stage.lasts(random.between(2000, 6000), () => {
        guest.rest();
        guest.signal('SIGINT');
        guest.busy = false;
      });
      return guest.name;
    },
  },
  'coordinator killed': {
    weight: 2,
    deadly: true,
    apply: ({ coordinator }) => (!coordinator.busy && coordinator.signal('SIGKILL') ? 'at any moment' : null),
  },
  /** Of its own accord: the stage arms it at a start. */
  'coordinator crashed': { weight: 0, apply: () => null },
  'coordinator restarted': {
    weight: 1,
    deadly: true,
    apply: ({ coordinator }) => (!coordinator.busy && coordinator.signal('SIGTERM') ? 'SIGTERM' : null),
  },
  'coordinator stopped for a moment': {
    weight: 2,
    apply: (stage, random) => halt(stage, stage.coordinator, random, MOMENT),
  },
  'coordinator hung': { weight: 1, apply: (stage, random) => halt(stage, stage.coordinator, random, LONG) },
  'second coordinator': { weight: 1, apply: compete },
  'checkpoint damaged': { weight: 1, deadly: true, apply: damage },
  'disk full': {
    weight: 1,
    deadly: true,
    needs: 'disk',
    apply(stage, random) {
      const { disk } = stage.options;
      if (disk === null || disk.filled || stage.contended) return null;
      const free = random.below(400_000);
      stage.full = true;
      disk.fill(free);
      stage.lasts(random.between(300, 2500), () => disk.clear());
      return `${free} bytes free`;
    },
  },
  'line cut both ways': {
    weight: 2,
    needs: 'network',
    apply: (stage, random) => line(stage, random, { kind: 'cut', to: true, from: true }),
  },
  'line cut one way': {
    weight: 2,
    needs: 'network',
    apply(stage, random) {
      const to = random.below(2) === 0;
      return line(stage, random, { kind: 'cut', to, from: !to });
    },
  },
  'line narrow': {
    weight: 2,
    needs: 'network',
    apply: (stage, random) => line(stage, random, { kind: 'rate', megabits: 10 }),
  },
  'line slow': {
    weight: 2,
    needs: 'netem',
    apply: (stage, random) => line(stage, random, { kind: 'latency', milliseconds: 100 }),
  },
  'line lossy': {
    weight: 2,
    needs: 'netem',
    apply: (stage, random) => line(stage, random, { kind: 'loss', percent: 5 }),
  },
} as const satisfies Record<string, FaultType>;

export type FaultKind = keyof typeof faults;

export const faultKinds: readonly FaultKind[] = Object.keys(faults).filter(
  (name): name is FaultKind => name in faults,
);

/** Part of the draws that may end a coordinator which has not taken a step since its start. */
const EARLY = 0.2;

/** Draws a kind that this stage can have, so that the run still gets on. */
export function drawFault({ options, stepping }: Stage, random: Random): FaultKind {
  const mayDie = stepping || random.next() < EARLY;
  const possible = faultKinds.filter((kind) => {
    const { needs, deadly = false }: FaultType = faults[kind];
    if (deadly && !mayDie) return false;
    if (needs === 'disk') return options.disk !== null;
    if (needs === 'network') return options.network !== null;
    return needs !== 'netem' || options.network?.netem === true;
  });
  let left = random.next() * possible.reduce((sum, kind) => sum + faults[kind].weight, 0);
  for (const kind of possible) {
    left -= faults[kind].weight;
    if (left < 0) return kind;
  }
  return 'worker killed';
}

/** A worker that runs and has no other fault. */
function someWorker({ workers }: Stage, random: Random): Kept | null {
  const able = workers.filter(({ busy, resting, pid }) => !busy && !resting && pid !== null);
  return able.length === 0 ? null : random.pick(able);
}

function stop(stage: Stage, random: Random, range: readonly [number, number]): string | null {
  const worker = someWorker(stage, random);
  return worker === null ? null : halt(stage, worker, random, range);
}

function halt(
  stage: Stage,
  kept: Kept,
  random: Random,
  [low, high]: readonly [number, number],
): string | null {
  if (kept.busy || !kept.signal('SIGSTOP')) return null;
  kept.busy = true;
  const milliseconds = 1000 * stage.options.config.cluster.lostAfterSeconds * random.between(low, high);
  stage.lasts(milliseconds, () => {
    kept.signal('SIGCONT');
    kept.busy = false;
  });
  return `${kept.name} for ${milliseconds.toFixed(0)} ms`;
}

function away(stage: Stage, worker: Kept, milliseconds: number): string {
  worker.busy = true;
  worker.rest();
  worker.signal('SIGINT');
  stage.lasts(milliseconds, () => {
    worker.wake();
    worker.busy = false;
  });
  return `${worker.name} for ${milliseconds.toFixed(0)} ms`;
}

function line(stage: Stage, random: Random, fault: LineFault): string | null {
  const { network, workers } = stage.options;
  const index = random.below(workers);
  if (network === null || stage.badLines.has(index)) return null;
  stage.badLines.add(index);
  const undo = network.fault(index, fault);
  const milliseconds = random.between(500, 6000);
  stage.lasts(milliseconds, () => {
    stage.badLines.delete(index);
    undo();
  });
  const way =
    fault.kind !== 'cut' || fault.to === fault.from ? '' : fault.to ? ', its words' : ', its orders';
  return `${stage.workers[index].name}${way} for ${milliseconds.toFixed(0)} ms`;
}

/** Starts a second coordinator on the same run directory, which must refuse. */
async function compete(stage: Stage): Promise<string | null> {
  const { coordinator } = stage;
  const { pid } = coordinator;
  if (coordinator.busy || pid === null || stage.full || stage.step === 0) return null;
  stage.contended = true;
  let serves = false;
  const rival = launch(stage.rival, (text) => {
    if (!text.includes('manyhands://')) return;
    serves = true;
    rival.child.kill('SIGKILL');
  });
  const end = await rival.ended;
  await delay(200); // until an end of the first one is known here too
  stage.contended = false;
  if (coordinator.pid !== pid) return 'while the first one died';
  const refused = end.status === 2 && /in use by another coordinator/.test(end.said.join('\n'));
  if (serves || !refused) throw new Error(`a second coordinator was not refused: it ${describeEnd(end)}`);
  return 'refused';
}

/** Kills the coordinator and harms the newest whole checkpoint, where an older one is left to go on from. */
async function damage(stage: Stage, random: Random): Promise<string | null> {
  const { coordinator, out } = stage;
  if (coordinator.busy || coordinator.pid === null || checkpointSteps(out).length < 2) return null;
  coordinator.busy = true;
  coordinator.rest();
  coordinator.signal('SIGKILL');
  await coordinator.gone();
  const whole = checkpointSteps(out)
    .map((step) => join(out, 'checkpoints', `step-${String(step).padStart(6, '0')}`))
    .filter((path) => 'state' in verifyCheckpoint(path));
  const told = whole.length < 2 ? 'killed only: no other checkpoint is whole' : harm(whole[0], random);
  stage.damaged = true;
  coordinator.wake();
  coordinator.busy = false;
  return told;
}

function harm(checkpoint: string, random: Random): string {
  const name = random.pick(['model.safetensors', 'optimizer.safetensors', 'state.json', 'config.json']);
  const file = join(checkpoint, name);
  const what = `${name} of ${basename(checkpoint)}`;
  const bytes = readFileSync(file);
  switch (random.below(4)) {
    case 0:
      rmSync(checkpoint, { recursive: true });
      return `${basename(checkpoint)} deleted`;
    case 1:
      rmSync(file);
      return `${what} deleted`;
    case 2:
      truncateSync(file, random.below(bytes.length));
      return `${what} cut short`;
    default:
      bytes[random.below(bytes.length)] ^= 1 << random.below(8);
      writeFileSync(file, bytes);
      return `a bit of ${what} flipped`;
  }
}
