import { Worker } from 'node:worker_threads';
import type { Answer, Request, Setup } from './stepper-messages.js';

interface Call {
  readonly hear: (answer: Answer) => void;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
}

/** A thread that answers one call after the other. It keeps the process alive only while a call is under way. */
export class StepperThread {
  readonly #worker: Worker;
  readonly #calls = new Map<number, Call>();
  #lastCall = 0;
  #ended: Error | null = null;
  /** Rejects where the thread cannot start. */
  readonly ready: Promise<Answer>;

  constructor(setup: Setup) {
    this.#worker = new Worker(new URL('./stepper-thread.js', import.meta.url), {
      workerData: setup,
      execArgv: [], // the process's own may say how its main script is to be read
    });
    this.#worker.on('message', (answer: Answer) => this.#receive(answer));
    this.#worker.on('error', (error) => this.#end(error));
    this.#worker.on('exit', () => this.#end(new Error("The optimiser's thread has ended.")));
    this.ready = new Promise((resolve, reject) => this.#calls.set(0, { hear: () => {}, resolve, reject }));
  }

  /** The answer that ends the call; `hear` gets those before it. Rejects with the thread's error, and where it has ended. */
  call(request: Omit<Request, 'call'>, hear: (answer: Answer) => void = () => {}): Promise<Answer> {
    if (this.#ended !== null) return Promise.reject(this.#ended);
    const call = ++this.#lastCall;
    return new Promise((resolve, reject) => {
      this.#calls.set(call, { hear, resolve, reject });
      this.#worker.ref();
      this.#worker.postMessage({ ...request, call });
    });
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #receive(answer: Answer): void {
    const call = this.#calls.get(answer.call);
    if (call === undefined) return;
    if (answer.kind === 'moved') {
      call.hear(answer);
      return;
    }
    this.#calls.delete(answer.call);
    if (this.#calls.size === 0) this.#worker.unref();
    if (answer.kind === 'error') call.reject(answer.error);
    else call.resolve(answer);
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const { reject } of this.#calls.values()) reject(this.#ended);
    this.#calls.clear();
  }
}
