import { setTimeout as delay } from 'node:timers/promises';
import type { BackendChoice, BackendInfo } from '@manyhands/core/kernels';
import { sharedFloats, splitRange } from '@manyhands/core/reduce';
import { addTrace, tracing } from '@manyhands/core/trace';
import type { BatchShape } from '@manyhands/core/train';
import { type Task, type TaskBatch, taskToJson } from '@manyhands/tasks';
import { Piscina } from 'piscina';
import { RangeSum } from './range-sum.js';
import type { Engine, Losses, ThreadAnswer, ThreadProgress, ThreadSetup, ThreadTask } from './tasks.js';

/** How long the threads get to come to the end of a micro-batch. */
const PATIENCE_MILLISECONDS = 3000;

type Warm = Extract<ThreadAnswer, { kind: 'warm' }>;

/**
 * A worker's threads. The weights lie once in shared memory, two versions of them; every thread reads them there.
 * A range of micro-batches is cut into one part a thread.
 */
export class ThreadPool {
  private readonly free: Float32Array[] = [];
  private readonly progress = new Map<number, (from: number) => void>();
  private lastTask = 0;
  private readonly running = new Set<Promise<ThreadAnswer>>();
  /** Of the sums under way. */
  private readonly ends = new Set<() => void>();

  private constructor(
    private readonly piscina: Piscina<ThreadTask, ThreadAnswer>,
    private readonly size: number,
    private readonly weights: readonly [Float32Array, Float32Array],
    private readonly threads: number,
    /** How the threads compute, in words, and with what, for other machines of this kind. */
    private readonly warm: Warm,
  ) {
    piscina.on('message', ({ task, from }: ThreadProgress) => this.progress.get(task)?.(from));
  }

  /** @throws KernelError where the backend is not available */
  static async create(options: {
    task: Task;
    backend: BackendChoice;
    reproducible: boolean;
    threads: number;
    /** Of all work to come: compiled, and measured where there is something to choose. */
    shapes: readonly BatchShape[];
    /** What another machine of this kind chose; null: the first thread measures. */
    choices: string | null;
    recompute: boolean;
  }): Promise<ThreadPool> {
    const { task, threads, backend, choices, reproducible, recompute, shapes } = options;
    const { size } = task.model;
    const weights = [sharedFloats(size), sharedFloats(size)] as const;
    const workerData: ThreadSetup = {
      task: taskToJson(task),
      reproducible,
      recompute,
      shapes,
      weights,
      trace: tracing(),
      threads,
    };
    const piscina = new Piscina<ThreadTask, ThreadAnswer>({
      filename: new URL('./thread.js', import.meta.url).href,
      minThreads: threads,
      maxThreads: threads,
      concurrentTasksPerWorker: 1,
      // Waiting on an atomic would stall the thread's event loop, which a GPU needs.
      atomics: 'disabled',
      workerData,
    });
    try {
      // The first one measures with the machine to itself; then all take what it chose.
      const answer = await piscina.run({ kind: 'warm', engine: { backend, choices } });
      if (answer.kind !== 'warm') throw new Error('a thread answered out of turn');
      const engine = engineOf(answer);
      await Promise.all(Array.from({ length: threads }, () => piscina.run({ kind: 'warm', engine })));
      return new ThreadPool(piscina, size, weights, threads, answer);
    } catch (error) {
      await piscina.destroy();
      throw error;
    }
  }

  get info(): BackendInfo {
    return this.warm.info;
  }

  /** Why this backend, in words. */
  get reason(): string {
    return this.warm.reason;
  }

  get choices(): string {
    return this.warm.choices;
  }

  /** Where version `version` of the weights belongs. */
  weightsFor(version: number): Float32Array {
    return this.weights[version % 2];
  }

  /**
   * Begins the sum of the gradients over a node of the batch's tree, given its micro-batches in order.
   * @param grain told to the reader in steps of so many values
   * @param signal aborts a sum that is of no use any more: it fails soon, or is done
   */
  sum(
    microBatches: readonly TaskBatch[],
    version: number,
    seed: number,
    grain: number,
    signal: AbortSignal,
  ): RangeSum {
    const total = microBatches.length;
    const parts = splitRange({ first: 0, count: total }, total, this.threads).map((range) => ({
      range,
      output: this.free.pop() ?? sharedFloats(this.size),
    }));
    const unwanted = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    const answers = parts.map(async ({ range, output }, part) => {
      const task = ++this.lastTask;
      this.progress.set(task, (from) => sum.advance(part, from));
      try {
        const losses = await this.run({
          kind: 'sum',
          task,
          engine: engineOf(this.warm),
          version,
          seed,
          microBatches: microBatches.slice(range.first, range.first + range.count),
          output,
          grain,
          unwanted,
        });
        sum.advance(part, 0);
        return losses;
      } finally {
        this.progress.delete(task);
      }
    });
    const release = () => {
      // Where one thread failed or is not needed any more, another may still be writing.
      void Promise.allSettled(answers).then(() => {
        this.ends.delete(end);
        this.free.push(...parts.map(({ output }) => output));
      });
    };
    const end = () => Atomics.store(unwanted, 0, 1);
    signal.addEventListener('abort', end, { once: true });
    this.ends.add(end);
    const losses = Promise.all(answers).then(concatenated);
    const sum: RangeSum = new RangeSum(total, parts, losses, release);
    return sum;
  }

  /** The losses of micro-batches, forward only, spread over the threads. */
  async losses(microBatches: readonly TaskBatch[], version: number, seed: number): Promise<Losses> {
    const size = Math.ceil(microBatches.length / this.threads);
    const parts: Promise<Losses>[] = [];
    for (let first = 0; first < microBatches.length; first += size) {
      const part = microBatches.slice(first, first + size);
      parts.push(
        this.run({ kind: 'losses', engine: engineOf(this.warm), version, seed, microBatches: part }),
      );
    }
    return concatenated(await Promise.all(parts));
  }

  /** Ends the threads: each after the micro-batch under way, for a device's library dies with a thread that is in it. */
  async close(): Promise<void> {
    for (const end of this.ends) end();
    await Promise.race([
      Promise.allSettled(this.running),
      delay(PATIENCE_MILLISECONDS, null, { ref: false }),
    ]);
    await this.piscina.destroy();
  }

  private async run(task: ThreadTask): Promise<Losses> {
    const running = this.piscina.run(task);
    this.running.add(running);
    const answer = await running.finally(() => this.running.delete(running));
    addTrace(answer.trace);
    if (answer.kind !== 'losses') throw new Error('a thread answered out of turn');
    return answer.losses;
  }
}

/** What every thread computes with, also where the first one was left to choose. */
function engineOf({ info, choices }: Warm): Engine {
  return { backend: info.backend === 'gpujs' ? 'gpujs' : 'cpu', choices };
}

function concatenated(parts: readonly Losses[]): Losses {
  return { sums: parts.flatMap((part) => part.sums), targets: parts.flatMap((part) => part.targets) };
}
