import { parentPort, threadId, workerData } from 'node:worker_threads';
import { createKernels, KernelError } from '@manyhands/core/kernels';
import { span, startTrace, takeTrace } from '@manyhands/core/trace';
import type { Learner } from '@manyhands/core/train';
import { learnerOf, type TaskBatch, taskFromJson } from '@manyhands/tasks';
import type { Engine, Losses, ThreadAnswer, ThreadProgress, ThreadSetup, ThreadTask } from './tasks.js';
import { trialOf } from './trial.js';

/** What runs inside a pool thread: one backend, one copy of the model on it. No network lives here. */

const setup: ThreadSetup = Array.isArray(workerData) ? workerData[1] : workerData;
const task = taskFromJson(setup.task);
if (setup.trace) startTrace(`thread ${threadId}`);

interface Started {
  readonly learner: Learner<TaskBatch>;
  readonly warm: Omit<Extract<ThreadAnswer, { kind: 'warm' }>, 'trace'>;
}

let engine: Promise<Started> | null = null;
let loaded = -1;

async function start({ backend, choices }: Engine): Promise<Started> {
  const { reproducible, recompute, shapes, threads } = setup;
  const training = shapes.find(({ train }) => train);
  const { kernels, reason } = await createKernels(backend, {
    reproducible,
    ...(training &&
      task.name === 'language' && { trial: trialOf(task.model, training, { recompute, threads }) }),
    ...(choices === null ? {} : { choices }),
  });
  if (reproducible && !kernels.info.reproducible) {
    throw new KernelError(
      `a reproducible run needs the same bits on every processor, which ${backend} does not give: use cpu`,
    );
  }
  const learner = learnerOf(task, kernels, { recompute });
  learner.prepare(shapes);
  return { learner, warm: { kind: 'warm', info: kernels.info, reason, choices: kernels.choices() } };
}

async function learnerWith(chosen: Engine, version: number): Promise<Learner<TaskBatch>> {
  engine ??= start(chosen);
  const { learner } = await engine;
  if (version !== loaded) {
    const began = performance.now();
    learner.setWeights(setup.weights[version % 2]);
    loaded = version;
    span('weights', began, { version });
  }
  return learner;
}

export default async function run(asked: ThreadTask): Promise<ThreadAnswer> {
  switch (asked.kind) {
    case 'warm': {
      engine ??= start(asked.engine);
      const { warm } = await engine;
      return { ...warm, trace: takeTrace() };
    }
    case 'sum': {
      const { seed, version: step, microBatches, output, unwanted } = asked;
      const learner = await learnerWith(asked.engine, step);
      const began = performance.now();
      const losses: Losses = await learner.sum(
        microBatches,
        { seed, step },
        output,
        progress(asked),
        () => Atomics.load(unwanted, 0) !== 0,
      );
      span('forward+backward', began, { step, microBatches: microBatches.length });
      return { kind: 'losses', losses, trace: takeTrace() };
    }
    case 'losses': {
      const learner = await learnerWith(asked.engine, asked.version);
      const began = performance.now();
      const losses: Losses = { sums: [], targets: [] };
      const { seed, version: step } = asked;
      for (const microBatch of asked.microBatches) {
        const { lossSum, targets } = await learner.evaluate(microBatch, { seed, step });
        losses.sums.push(lossSum);
        losses.targets.push(targets);
      }
      span('forward', began, { step, microBatches: asked.microBatches.length });
      return { kind: 'losses', losses, trace: takeTrace() };
    }
    default:
      asked satisfies never;
      throw new Error('unknown task');
  }
}

/** Tells the pool how far a sum is, a grain at a time. */
function progress({ task, grain }: Extract<ThreadTask, { kind: 'sum' }>): (from: number) => void {
  let told = Number.POSITIVE_INFINITY;
  return (index) => {
    const from = Math.ceil(index / grain) * grain;
    if (from >= told) return;
    told = from;
    const message: ThreadProgress = { task, from };
    parentPort?.postMessage(message);
  };
}
