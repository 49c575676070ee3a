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

interface Waiting {
  readonly resolve: (tokens: Tokens) => void;
  readonly reject: (error: unknown) => void;
}

/** A thread with an encoder of its own; requests are answered in the order in which they come. */
class EncodeThread {
  readonly #worker: Worker;
  readonly #waiting: Waiting[] = [];
  #failure: unknown = null;
  readonly ready: Promise<EncoderInfo>;

  constructor(spec: EncoderSpec) {
    this.#worker = new Worker(new URL('./encode-thread.js', import.meta.url), { workerData: spec });
    this.ready = new Promise((resolve, reject) => {
      this.#worker.on('message', (reply: EncodeReply) => {
        switch (reply.kind) {
          case 'ready':
            return resolve(reply.info);
          case 'encoded':
            return this.#waiting.shift()?.resolve(reply.tokens);
          case 'failed':
            if (reply.piece !== null)
              return this.#waiting.shift()?.reject(new EncodeError(reply.message, reply.piece));
            return this.#fail(new UserError(`the tokenizer could not be made: ${reply.message}`), reject);
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

  /** @throws UserError where the encoder cannot be made */
  static async start(spec: EncoderSpec, size: number): Promise<EncodePool> {
    const first = new EncodeThread(spec);
    try {
      return new EncodePool(await first.ready, first, spec, size);
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
