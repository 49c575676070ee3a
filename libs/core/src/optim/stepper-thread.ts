import { parentPort, workerData } from 'node:worker_threads';
import { type Answer, isSetup, type Request } from './stepper-messages.js';
import { Workbench } from './workbench.js';

/** Floats that are moved before a thread says so: the size of a message's worth of weights. */
const NEWS = 2 ** 20;

const port = parentPort;
const setup: unknown = workerData;
if (port === null || !isSetup(setup)) throw new Error('stepper-thread.js is started by createStepper alone');
const { tasks, weights, state, sums } = setup;
const bench = new Workbench();
const answer = (message: Answer) => port.postMessage(message);

port.on('message', (request: Request) => {
  const { call } = request;
  try {
    answer({ call, kind: 'step', moved: step(request) });
  } catch (error) {
    answer({ call, kind: 'error', error: error instanceof Error ? error : new Error(String(error)) });
  }
});
answer({ call: 0, kind: 'ready' });

/** Takes tasks until none is left; returns those that it did not tell of. */
function step({ call, gradient, rates, next, tell }: Request): number[] {
  let moved: number[] = [];
  let news = 0;
  for (;;) {
    const index = Atomics.add(next, 0, 1);
    if (index >= tasks.length) return moved;
    const task = tasks[index];
    bench.run(task, { weights, gradient, state }, rates, sums?.subarray(2 * index) ?? null);
    if (!tell) continue;
    moved.push(index);
    news += task.to - task.from;
    if (news < NEWS) continue;
    answer({ call, kind: 'moved', moved });
    moved = [];
    news = 0;
  }
}
