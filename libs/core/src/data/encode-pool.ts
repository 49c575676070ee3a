import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { UserError } from '../config/index.js';
import type { EncodeReply, EncodeRequest, EncoderInfo, EncoderSpec } from './encoder.js';
import type { Tokens } from './shard.js';

/** A piece of text that its encoder refused; `piece` counts from 0 within the request. */
export class EncodeError extends Error {
  constructor(
    message: string,
    readonly piece: number,
  ) {
    super(message);
  }
}

/** The whole preparation is to stay below 500 MB; a large vocabulary costs each thread 100 MB. */
const memoryForThreads = 320e6;

/** What a thread at work takes beyond its encoder: text, pieces and tokens of a block, garbage (measured). */
const memoryOfWork = 40e6;

interface Waiting {
  readonly resolve: (tokens: Tokens) => void;
  readonly reject: (error: unknown) => void;
}

/** A thread with an encoder of its own; requests are answered in the order in which they come. */
class EncodeThread {
  readonly #worker: Worker;
  readonly #waiting: Waiting[] = [];
  #failure: unknown = null;
  readonly ready: Promise<{ info: EncoderInfo; memory: number }>;

  constructor(spec: EncoderSpec) {
    this.#worker = new Worker(new URL('./encode-thread.js', import.meta.url), {
      workerData: spec,
      execArgv: [], // flags of the main program (--input-type, --eval) are not for this one
      resourceLimits: { maxYoungGenerationSizeMb: 8 }, // most of what a thread makes is garbage at once
    });
    this.ready = new Promise((resolve, reject) => {
      this.#worker.on('message', (reply: EncodeReply) => {
        switch (reply.kind) {
          case 'ready':
            return resolve(reply);
          case 'encoded':
            return this.#waiting.shift()?.resolve(reply.tokens);
          case 'failed':
            if (reply.piece !== null)
              return this.#waiting.shift()?.reject(new EncodeError(reply.message, reply.piece));
            return this.#fail(new UserError(`The tokenizer could not be made: ${reply.message}`), reject);
          default:
            return reply satisfies never;
        }
      });
      this.#worker.on('error', (error) => this.#fail(error, reject));
      this.#worker.on('exit', (code) =>
        this.#fail(new Error(`a tokenizer thread ended early (exit code ${code})`), reject),
      );
    });
    this.ready.catch(() => {}); // told to whoever awaits it, and to every request
  }

  get load(): number {
    return this.#waiting.length;
  }

  encode(request: EncodeRequest): Promise<Tokens> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) return reject(this.#failure);
      this.#waiting.push({ resolve, reject });
      this.#worker.postMessage(request, [request.bytes.buffer]);
    });
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  #fail(error: unknown, reject: (error: unknown) => void): void {
    this.#failure ??= error;
    reject(error);
    for (const waiting of this.#waiting.splice(0)) waiting.reject(error);
  }
}

/** Encodes over several threads. The first starts at once, the others when there is work for them. */
export class EncodePool {
  readonly #threads: EncodeThread[];

  private constructor(
    readonly info: EncoderInfo,
    first: EncodeThread,
    private readonly spec: EncoderSpec,
    readonly size: number,
  ) {
    this.#threads = [first];
  }

  /**
   * @param threads how many; null for one a core, as far as they fit into {@link memoryForThreads}
   * @throws UserError where the encoder cannot be made
   */
  static async start(spec: EncoderSpec, threads: number | null): Promise<EncodePool> {
    const first = new EncodeThread(spec);
    try {
      const { info, memory } = await first.ready;
      const fitting = Math.max(1, Math.floor(memoryForThreads / (memory + memoryOfWork)));
      return new EncodePool(info, first, spec, threads ?? Math.min(fitting, availableParallelism()));
    } catch (error) {
      await first.end();
      throw error;
    }
  }

  /** Takes over the request's bytes. Rejects with an {@link EncodeError} where the encoder refuses a piece. */
  encode(request: EncodeRequest): Promise<Tokens> {
    let idlest = this.#threads.reduce((a, b) => (b.load < a.load ? b : a));
    if (idlest.load > 0 && this.#threads.length < this.size) {
      idlest = new EncodeThread(this.spec);
      this.#threads.push(idlest);
    }
    return idlest.encode(request);
  }

  async end(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.end()));
  }
}
