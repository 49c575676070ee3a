import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { RunError } from '@manyhands/core/config';
import type { BackendInfo } from '@manyhands/core/kernels';
import type { Task, ThreadMessage, ThreadSetup } from './types.js';

/** Threads that do the same work at the same time. */
export class Team {
  readonly info: BackendInfo;
  readonly #workers: readonly Worker[];

  private constructor(info: BackendInfo, workers: readonly Worker[]) {
    this.info = info;
    this.#workers = workers;
  }

  /**
   * As in a run, the first thread measures what there is to choose and the others do as it says.
   * @throws RunError where the backend is not available here
   */
  static async start(setup: Omit<ThreadSetup, 'choices'>, threads: number): Promise<Team> {
    const workers: Worker[] = [];
    const start = async (choices: string | null) => {
      const workerData: ThreadSetup = { ...setup, choices };
      const worker = new Worker(new URL('./thread.js', import.meta.url), { workerData });
      workers.push(worker);
      const message = await nextMessage(worker);
      if (message.kind !== 'ready') throw new RunError('a bench thread answered out of turn');
      return message;
    };
    try {
      const { info, choices } = await start(null);
      await Promise.all(Array.from({ length: threads - 1 }, () => start(choices)));
      return new Team(info, workers);
    } catch (error) {
      await end(workers);
      throw error;
    }
  }

  /** The work of all threads together, per second. */
  async together(task: Task): Promise<number> {
    const rates = await Promise.all(this.#workers.map((worker) => ask(worker, task)));
    return rates.reduce((total, rate) => total + rate, 0);
  }

  /** The work of one thread while the others rest. */
  alone(task: Task): Promise<number> {
    return ask(this.#workers[0], task);
  }

  end(): Promise<unknown> {
    return end(this.#workers);
  }
}

async function ask(worker: Worker, task: Task): Promise<number> {
  worker.postMessage(task);
  const message = await nextMessage(worker);
  if (message.kind !== 'rate') throw new RunError('a bench thread answered out of turn');
  return message.rate;
}

async function nextMessage(worker: Worker): Promise<ThreadMessage> {
  const [message]: ThreadMessage[] = await once(worker, 'message');
  if (message.kind === 'failed') throw new RunError(message.message);
  return message;
}

function end(workers: readonly Worker[]): Promise<unknown> {
  return Promise.all(workers.map((worker) => worker.terminate()));
}
