import { workerData } from 'node:worker_threads';
import { createKernels, KernelError } from '@manyhands/core/kernels';
import { createModel } from '@manyhands/core/model';
import { BufferPool, TreeSum } from '@manyhands/core/reduce';
import { Learner } from '@manyhands/core/train';
import type { Engine, Losses, ThreadAnswer, ThreadSetup, ThreadTask } from './tasks.js';

/** What runs inside a pool thread: one backend, one copy of the model on it. No network lives here. */

const setup: ThreadSetup = Array.isArray(workerData) ? workerData[1] : workerData;
const model = createModel(setup.model);
const buffers = new BufferPool(model.size);
const gradient = buffers.take();

let engine: Promise<{ learner: Learner; answer: ThreadAnswer & { kind: 'warm' } }> | null = null;
let loaded = -1;

async function start({ backend, choices }: Engine) {
  const { reproducible } = setup;
  const { kernels, reason } = await createKernels(backend, {
    reproducible,
    ...(choices === null ? {} : { choices }),
  });
  if (reproducible && !kernels.info.reproducible) {
    throw new KernelError(
      `a reproducible run needs the same bits on every processor, which ${backend} does not give: use cpu`,
    );
  }
  return {
    learner: Learner.create(kernels, model),
    answer: { kind: 'warm' as const, info: kernels.info, reason, choices: kernels.choices() },
  };
}

async function learnerWith(chosen: Engine, version: number): Promise<Learner> {
  engine ??= start(chosen);
  const { learner } = await engine;
  if (version !== loaded) {
    learner.setWeights(setup.weights[version % 2]);
    loaded = version;
  }
  return learner;
}

export default async function run(task: ThreadTask): Promise<ThreadAnswer> {
  switch (task.kind) {
    case 'warm':
      engine ??= start(task.engine);
      return (await engine).answer;
    case 'sum': {
      const learner = await learnerWith(task.engine, task.version);
      const losses: Losses = { sums: [], targets: [] };
      const count = task.microBatches.length;
      // A node's subtree over its own numbers has the shape that it has within the batch's tree.
      const tree = count > 1 ? new TreeSum(count, buffers) : null;
      for (const [index, microBatch] of task.microBatches.entries()) {
        const into = tree === null ? task.output : gradient;
        const result = await learner.gradients(microBatch, { seed: task.seed, step: task.version }, into);
        losses.sums.push(result.lossSum);
        losses.targets.push(result.targets);
        tree?.add({ first: index, count: 1 }, gradient);
      }
      if (tree !== null) {
        task.output.set(tree.result());
        tree.release();
      }
      return { kind: 'losses', losses };
    }
    case 'losses': {
      const learner = await learnerWith(task.engine, task.version);
      const losses: Losses = { sums: [], targets: [] };
      for (const microBatch of task.microBatches) {
        const each = await learner.losses(microBatch);
        losses.sums.push(each.reduce((sum, loss) => sum + loss, 0));
        losses.targets.push(microBatch.targets.reduce((count, target) => count + (target >= 0 ? 1 : 0), 0));
      }
      return { kind: 'losses', losses };
    }
    default:
      task satisfies never;
      throw new Error('unknown task');
  }
}
