import { parentPort, workerData } from 'node:worker_threads';
import { createKernels } from '@manyhands/core/kernels';
import { createModel } from '@manyhands/core/model';
import type { Task, ThreadMessage, ThreadSetup } from './types.js';
import { createWorkloads } from './workloads.js';

const setup: ThreadSetup = workerData;

function answer(message: ThreadMessage): void {
  parentPort?.postMessage(message);
}

function fail(error: unknown): void {
  answer({ kind: 'failed', message: error instanceof Error ? error.message : String(error) });
}

try {
  const { backend, reproducible, choices, model, seconds } = setup;
  const options = choices === null ? { reproducible } : { reproducible, choices };
  const { kernels } = await createKernels(backend, options);
  const workloads = await createWorkloads(kernels, createModel(model), setup);
  parentPort?.on('message', (task: Task) => {
    workloads[task](seconds).then((rate) => answer({ kind: 'rate', rate }), fail);
  });
  answer({ kind: 'ready', info: kernels.info, choices: kernels.choices() });
} catch (error) {
  fail(error);
}
