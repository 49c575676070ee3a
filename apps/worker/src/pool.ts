import type { BackendChoice, BackendInfo } from '@manyhands/core/kernels';
import type { Model } from '@manyhands/core/model';
import { BufferPool, splitRange, TreeSum } from '@manyhands/core/reduce';
import type { MicroBatch } from '@manyhands/core/train';
import { Piscina } from 'piscina';
import type { Engine, Losses, ThreadAnswer, ThreadSetup, ThreadTask } from './tasks.js';

export interface PartialResult {
  readonly sum: Float32Array;
  readonly losses: Losses;
  release(): void;
}

/**
 * A worker's threads. The weights lie once in shared memory, two versions of them; every thread reads them there.
 * A range of micro-batches is cut into one piece a thread, and the pieces are summed along the batch's own tree.
 */
export class ThreadPool {
  private readonly free: Float32Array[] = [];
  private readonly buffers: BufferPool;

  private constructor(
    private readonly piscina: Piscina<ThreadTask, ThreadAnswer>,
    private readonly model: Model,
    private readonly weights: readonly [Float32Array, Float32Array],
    private readonly threads: number,
    readonly info: BackendInfo,
    /** Why this backend, in words. */
    readonly reason: string,
    /** What the threads compute with, for other machines of this kind. */
    readonly choices: string,
  ) {
    this.buffers = new BufferPool(model.size);
  }

  /** @throws KernelError where the backend is not available */
  static async create(options: {
    model: Model;
    backend: BackendChoice;
    reproducible: boolean;
    threads: number;
    /** What another machine of this kind chose; null: the first thread measures. */
    choices: string | null;
  }): Promise<ThreadPool> {
    const { model, threads } = options;
    const weights = [shared(model.size), shared(model.size)] as const;
    const workerData: ThreadSetup = { model: model.config, reproducible: options.reproducible, weights };
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
      const { backend, choices } = options;
      const answer = await piscina.run({ kind: 'warm', engine: { backend, choices } });
      if (answer.kind !== 'warm') throw new Error('a thread answered out of turn');
      return new ThreadPool(piscina, model, weights, threads, answer.info, answer.reason, answer.choices);
    } catch (error) {
      await piscina.destroy();
      throw error;
    }
  }

  /** What every thread computes with, also where the first one was left to choose. */
  private get engine(): Engine {
    return { backend: this.info.backend === 'gpujs' ? 'gpujs' : 'cpu', choices: this.choices };
  }

  /** Where version `version` of the weights belongs. */
  weightsFor(version: number): Float32Array {
    return this.weights[version % 2];
  }

  /**
   * The sum of the gradients over a node of the batch's tree, given its micro-batches in order. A node's subtree has
   * the shape of a tree over its own micro-batches alone, so the pieces are counted from zero here.
   * @returns the sum, which is good until `release` is called, and the losses in order
   */
  async sum(microBatches: readonly MicroBatch[], version: number, seed: number): Promise<PartialResult> {
    const total = microBatches.length;
    const pieces = splitRange({ first: 0, count: total }, total, this.threads);
    const answers = await Promise.all(
      pieces.map(async (piece) => {
        const output = this.free.pop() ?? shared(this.model.size);
        const losses = await this.run({
          kind: 'sum',
          engine: this.engine,
          version,
          seed,
          microBatches: microBatches.slice(piece.first, piece.first + piece.count),
          output,
        });
        return { piece, output, losses };
      }),
    );
    const losses = concatenated(answers.map((answer) => answer.losses));
    if (answers.length === 1) {
      const [{ output }] = answers;
      return { sum: output, losses, release: () => this.free.push(output) };
    }
    const tree = new TreeSum(total, this.buffers);
    for (const { piece, output } of answers) {
      tree.add(piece, output);
      this.free.push(output);
    }
    return { sum: tree.result(), losses, release: () => tree.release() };
  }

  /** The losses of micro-batches, forward only, spread over the threads. */
  async losses(microBatches: readonly MicroBatch[], version: number): Promise<Losses> {
    const size = Math.ceil(microBatches.length / this.threads);
    const parts: Promise<Losses>[] = [];
    for (let first = 0; first < microBatches.length; first += size) {
      const part = microBatches.slice(first, first + size);
      parts.push(this.run({ kind: 'losses', engine: this.engine, version, microBatches: part }));
    }
    return concatenated(await Promise.all(parts));
  }

  async close(): Promise<void> {
    await this.piscina.destroy();
  }

  private async run(task: ThreadTask): Promise<Losses> {
    const answer = await this.piscina.run(task);
    if (answer.kind !== 'losses') throw new Error('a thread answered out of turn');
    return answer.losses;
  }
}

function shared(size: number): Float32Array {
  return new Float32Array(new SharedArrayBuffer(size * Float32Array.BYTES_PER_ELEMENT));
}

function concatenated(parts: readonly Losses[]): Losses {
  return { sums: parts.flatMap((part) => part.sums), targets: parts.flatMap((part) => part.targets) };
}
