import { parentPort, workerData } from 'node:worker_threads';
import { generate } from '@manyhands/core/inference';
import { createKernels, type Kernels } from '@manyhands/core/kernels';
import { createModel, initialWeights } from '@manyhands/core/model';
import { Learner, type MicroBatch } from '@manyhands/core/train';
import type { BenchMessage, BenchSetup, BenchTask } from './tasks.js';

/** Side of the square matrices whose product is the peak: large enough that nothing but the product counts. */
const SIDE = 512;
/** Seconds of a measurement, after one run to warm up, and runs at least. */
const SECONDS = 1.5;
const RUNS = 3;

const setup: BenchSetup = workerData;
const model = createModel(setup.model);
const weights = initialWeights(model, 1);

/** `amount` of work by the time of its runs, per second: the median run, or the best of them. */
async function rate(
  amount: number,
  work: () => Promise<unknown>,
  pick: 'median' | 'best' = 'median',
): Promise<number> {
  await work();
  const times: number[] = [];
  const started = performance.now();
  while (times.length < RUNS || performance.now() - started < SECONDS * 1000) {
    const before = performance.now();
    await work();
    times.push(performance.now() - before);
  }
  times.sort((a, b) => a - b);
  const time = pick === 'best' ? times[0] : times[Math.floor(times.length / 2)];
  return amount / (time / 1000);
}

const tasks: Record<BenchTask, (kernels: Kernels) => Promise<number>> = {
  peak: (kernels) => rate(2 * SIDE ** 3, () => product(kernels), 'best'),
  train: async (kernels) => {
    const learner = Learner.create(kernels, model);
    learner.setWeights(weights);
    const gradient = new Float32Array(model.size);
    const micro = someTokens();
    return rate(micro.batch * micro.time, () => learner.gradients(micro, { seed: 1, step: 1 }, gradient));
  },
  generate: async (kernels) => {
    const tokens = Math.min(64, model.config.context - 1);
    return rate(tokens, async () => {
      const options = { maxTokens: tokens, temperature: 0 };
      for await (const _ of generate(kernels, model, weights, [0], options));
    });
  },
};

/** One product of square matrices; a row of it suffices to wait for the whole. */
async function product(kernels: Kernels): Promise<void> {
  const mark = kernels.mark();
  const square = kernels.tensor(new Float32Array(SIDE * SIDE).fill(0.5), [SIDE, SIDE]);
  await kernels.read(kernels.rows(kernels.linear(square, square, null, 'inOut'), 0, 1));
  kernels.release(mark);
}

/** Any tokens do: the work does not depend on them. */
function someTokens(): MicroBatch {
  const { context: time, vocab } = model.config;
  const batch = setup.microBatch;
  const inputs = Int32Array.from({ length: batch * time }, (_, i) => (i * 7919) % vocab);
  return { index: 0, batch, time, inputs, targets: inputs.map((id) => (id + 1) % vocab) };
}

function answer(message: BenchMessage): void {
  parentPort?.postMessage(message);
}

try {
  const { kernels } = await createKernels(setup.backend);
  parentPort?.on('message', async (task: BenchTask) => {
    try {
      answer({ kind: 'rate', rate: await tasks[task](kernels) });
    } catch (error) {
      answer({ kind: 'failed', message: error instanceof Error ? error.message : String(error) });
    }
  });
  answer({ kind: 'ready', info: kernels.info });
} catch (error) {
  answer({ kind: 'failed', message: error instanceof Error ? error.message : String(error) });
}
