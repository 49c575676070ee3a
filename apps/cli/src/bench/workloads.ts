import { generate } from '@manyhands/core/inference';
import { createKernels, type Kernels } from '@manyhands/core/kernels';
import { initialWeights, type Model } from '@manyhands/core/model';
import { Learner, type MicroBatch } from '@manyhands/core/train';
import type { Task, ThreadSetup } from './types.js';

/** Sides of the square matrices whose product may be the peak, and the longest product worth trying a larger one. */
const SIDES = [512, 1024, 2048];
const LONGEST_MS = 60;

/** Tokens that are generated at once. */
const GENERATED = 64;

/** Does a piece of work for `seconds` at least and says how much it did in a second. */
export type Workload = (seconds: number) => Promise<number>;

/** What a thread can be asked to measure. Training is warmed up here. */
export async function createWorkloads(
  kernels: Kernels,
  model: Model,
  setup: ThreadSetup,
): Promise<Record<Task, Workload>> {
  const weights = initialWeights(model, 1);
  const train = await training(kernels, model, weights, setup);
  let peak: Promise<Workload> | null = null;
  return {
    train,
    // Only when it is asked for: the memory of training is looked at before.
    peak: async (seconds) => {
      peak ??= products(setup);
      return (await peak)(seconds);
    },
    generate: generation(kernels, model, weights),
  };
}

async function training(
  kernels: Kernels,
  model: Model,
  weights: Float32Array,
  setup: ThreadSetup,
): Promise<Workload> {
  const { microBatch: batch, microBatches: count } = setup;
  const { context: time } = model.config;
  const learner = Learner.create(kernels, model);
  learner.prepare([{ batch, time, train: true }]);
  learner.setWeights(weights);
  const sum = new Float32Array(model.size);
  const microBatches = Array.from({ length: count }, (_, index) => someTokens(model, batch, index));
  let step = 0;
  const work = () => learner.sum(microBatches, { seed: 1, step: ++step }, sum);
  await work();
  return (seconds) => rate(count * batch * time, work, seconds);
}

/** The side that is multiplied fastest, floating-point operations per second. */
async function products({ backend, reproducible }: ThreadSetup): Promise<Workload> {
  // Kernels of their own, which may still choose what is fastest for these shapes.
  const { kernels } = await createKernels(backend, { reproducible });
  let best: { flops: number; work: () => Promise<unknown> } | null = null;
  let bestRate = 0;
  for (const side of SIDES) {
    const square = kernels.tensor(new Float32Array(side * side).fill(0.5), [side, side]);
    // A row suffices to wait for the whole.
    const program = kernels.compile(() => kernels.rows(kernels.linear(square, square, null, 'inOut'), 0, 1));
    const work = () => kernels.read(program.run());
    const flops = 2 * side ** 3;
    await work();
    const found = await rate(flops, work, 0);
    if (found > bestRate) [best, bestRate] = [{ flops, work }, found];
    if (flops / found > LONGEST_MS / 1000) break;
  }
  if (best === null) throw new RangeError('no product was measured');
  const { flops, work } = best;
  return (seconds) => rate(flops, work, seconds);
}

/** Tokens after the first one, which waits for the weights and the prompt. */
function generation(kernels: Kernels, model: Model, weights: Float32Array): Workload {
  const maxTokens = Math.min(GENERATED, model.config.context - 1);
  return async (seconds) => {
    let [tokens, milliseconds] = [0, 0];
    while (milliseconds < 1000 * seconds || tokens === 0) {
      let first: number | null = null;
      let last = 0;
      for await (const _ of generate(kernels, model, weights, [0], { maxTokens, temperature: 0 })) {
        last = performance.now();
        first ??= last;
      }
      tokens += maxTokens - 1;
      milliseconds += last - (first ?? last);
    }
    return tokens / (milliseconds / 1000);
  };
}

/** `amount` of work, again and again for `seconds`, once at least; the amount per second. */
async function rate(amount: number, work: () => Promise<unknown>, seconds: number): Promise<number> {
  const started = performance.now();
  for (let runs = 1; ; runs++) {
    await work();
    const passed = (performance.now() - started) / 1000;
    if (passed >= seconds) return (runs * amount) / passed;
  }
}

/** Any tokens do: the work does not depend on them. */
function someTokens(model: Model, batch: number, index: number): MicroBatch {
  const { context: time, vocab } = model.config;
  const inputs = Int32Array.from({ length: batch * time }, (_, i) => ((i + index) * 7919) % vocab);
  return { index, batch, time, inputs, targets: inputs.map((id) => (id + 1) % vocab) };
}
