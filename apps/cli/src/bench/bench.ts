import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { microBatchSize, type PresetName, parseConfig, RunError } from '@manyhands/core/config';
import type { BackendInfo } from '@manyhands/core/kernels';
import { flopsPerToken, parameterCount, resolveModelConfig } from '@manyhands/core/model';
import type { BenchMessage, BenchSetup, BenchTask } from './tasks.js';

export interface BenchResult {
  readonly preset: PresetName;
  readonly backend: 'cpu' | 'gpujs';
  /** What really computed: `wasm-simd`, `webgpu`, `webasm` … */
  readonly mode: string;
  readonly device: string;
  readonly threads: number;
  readonly parameters: number;
  readonly vocab: number;
  /** Sequences × tokens of a micro-batch. */
  readonly microBatch: readonly [number, number];
  /** Of gradients, all threads together. */
  readonly tokensPerSecond: number;
  readonly gflops: number;
  /** Of 512×512 matrix products alone, all threads together, at their best. */
  readonly peakGflops: number;
  /** gflops ÷ peakGflops */
  readonly mfu: number;
  /** One sequence on one thread. */
  readonly generateTokensPerSecond: number;
}

/** The vocabulary where the preset's tokenizer learns one from the text: nanoGPT's Shakespeare has 65 characters. */
const CHARACTERS = 65;
const vocabularies: Readonly<Record<string, number>> = { r50k_base: 50257 };

/**
 * Measures gradients, matrix products and generation of a preset's model, all threads at once.
 * @throws RunError where the backend is not available here
 */
export async function bench(
  preset: PresetName,
  backend: 'cpu' | 'gpujs',
  threads: number,
): Promise<BenchResult> {
  const config = parseConfig({}, preset);
  const vocab = config.model.vocab ?? vocabularies[config.data.tokenizer] ?? CHARACTERS;
  const model = resolveModelConfig({ ...config.model, vocab });
  const microBatch = microBatchSize(config);
  const setup: BenchSetup = { backend, model, microBatch };
  const workers = Array.from(
    { length: threads },
    () => new Worker(new URL('./thread.js', import.meta.url), { workerData: setup }),
  );
  try {
    const infos = await Promise.all(workers.map((worker) => ready(worker)));
    const together = async (task: BenchTask) =>
      sum(await Promise.all(workers.map((worker) => measure(worker, task))));
    // Others may be busy on this machine at any time: the peak is the best of before, between and after.
    const before = await together('peak');
    const tokensPerSecond = await together('train');
    const between = await together('peak');
    const generateTokensPerSecond = await measure(workers[0], 'generate');
    const peak = Math.max(before, between, await together('peak'));
    const flops = tokensPerSecond * flopsPerToken(model);
    return {
      preset,
      backend,
      mode: infos[0].mode,
      device: infos[0].device,
      threads,
      parameters: parameterCount(model),
      vocab,
      microBatch: [microBatch, model.context],
      tokensPerSecond,
      gflops: flops / 1e9,
      peakGflops: peak / 1e9,
      mfu: flops / peak,
      generateTokensPerSecond,
    };
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

async function ready(worker: Worker): Promise<BackendInfo> {
  const message = await nextMessage(worker);
  if (message.kind === 'ready') return message.info;
  throw new RunError(message.kind === 'failed' ? message.message : 'a bench thread answered out of turn');
}

async function measure(worker: Worker, task: BenchTask): Promise<number> {
  worker.postMessage(task);
  const message = await nextMessage(worker);
  if (message.kind === 'rate') return message.rate;
  throw new RunError(message.kind === 'failed' ? message.message : 'a bench thread answered out of turn');
}

async function nextMessage(worker: Worker): Promise<BenchMessage> {
  const [message] = await once(worker, 'message');
  return message;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
