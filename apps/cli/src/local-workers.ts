import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { SharedMemory } from '@manyhands/proto';
import { exitStatus } from './failure.js';
import type { LocalTrace } from './local-trace.js';

const main = fileURLToPath(new URL('./main.js', import.meta.url));

/** Starts of one worker before it is given up. */
const ATTEMPTS = 4;

const FIRST = 'worker-1';

/** Where a worker finds the shared memory among what it inherits. */
export const MEMORY_DESCRIPTOR = 4;

export interface LocalWorkersOptions {
  readonly join: string;
  readonly count: number;
  readonly threads: number;
  readonly backend: string;
  /** Folder of the run's token shards, which workers of this machine read themselves. */
  readonly shards: string;
  /** Each worker has a place in it; null where there is none. */
  readonly memory: SharedMemory | null;
  /** Gives each worker its own part; null for no trace. */
  readonly trace: LocalTrace | null;
  /** What the first worker does; the others do the same. */
  status(text: string): void;
  warn(text: string): void;
  /** No worker is left, and none will be started again. */
  hopeless(reason: string): void;
}

/** The worker processes of `train`: started together, started again when they die, ended with the run. */
export class LocalWorkers {
  readonly #options: LocalWorkersOptions;
  readonly #children = new Set<ChildProcess>();
  readonly #slots: Promise<void>[];
  #ending = false;

  constructor(options: LocalWorkersOptions) {
    this.#options = options;
    let left = options.count;
    this.#slots = Array.from({ length: options.count }, async (_, index) => {
      const reason = await this.#keepAlive(index + 1);
      if (reason !== null && --left === 0) options.hopeless(reason);
    });
  }

  /** The run is over: workers that die from here on are not started again. Resolves when all have ended. */
  async end(): Promise<void> {
    this.#ending = true;
    const late = setTimeout(() => this.kill(), 10_000);
    for (const child of this.#children) if (child.connected) child.disconnect();
    await Promise.all(this.#slots);
    clearTimeout(late);
  }

  kill(): void {
    this.#ending = true;
    for (const child of this.#children) child.kill('SIGKILL');
  }

  /** Resolves with null when the worker ended with the run, with the reason where it was given up. */
  async #keepAlive(number: number): Promise<string | null> {
    const name = `worker-${number}`;
    for (let attempt = 1; ; attempt++) {
      const end = await this.#start(name, number);
      if (this.#ending || end.status === exitStatus.done) return null;
      const death = `${name} ended with ${end.signal ?? `status ${end.status}`}`;
      const pointless = end.status === exitStatus.usage;
      if (pointless || attempt === ATTEMPTS) {
        const reason = end.lastLine ? `${death}: ${end.lastLine}` : death;
        this.#options.warn(`${reason}; it is not started again`);
        return reason;
      }
      this.#options.warn(`${death}; its work goes to others, and it is started again`);
    }
  }

  #start(
    name: string,
    number: number,
  ): Promise<{ status: number | null; signal: string | null; lastLine: string }> {
    const { join, threads, backend, shards, memory, trace } = this.#options;
    const args = ['worker', '--threads', String(threads), '--backend', backend, '--name', name];
    if (trace !== null) args.push('--trace', trace.part(name));
    // The join line holds a secret: an environment is private to the user, an argument list is not.
    const env = {
      ...process.env,
      MANYHANDS_JOIN: join,
      MANYHANDS_SHARDS: shards,
      MANYHANDS_OF_TRAIN: '1',
      ...(memory && { MANYHANDS_PLACE: String(number) }),
    };
    const child = spawn(process.execPath, [...process.execArgv, main, ...args], {
      env,
      stdio: ['ignore', 'ignore', 'pipe', 'ipc', memory?.descriptor ?? 'ignore'],
    });
    const { stderr } = child;
    if (stderr === null) throw new TypeError('a worker was started without its standard error');
    this.#children.add(child);
    return new Promise((resolve) => {
      let lastLine = '';
      let open = 2;
      let end: [status: number | null, signal: string | null] = [null, null];
      // Not `close`: after a disconnect of our own, Node never emits it.
      const part = () => {
        if (--open > 0) return;
        this.#children.delete(child);
        resolve({ status: end[0], signal: end[1], lastLine });
      };
      createInterface({ input: stderr })
        .on('line', (line) => {
          if (this.#ending || isNoise(line)) return;
          lastLine = line;
          this.#options.warn(`${name}: ${line}`);
        })
        .on('close', part);
      child.on('message', (message) => this.#onMessage(name, message));
      child.on('exit', (...how) => {
        end = how;
        part();
      });
      child.on('error', (error) => {
        this.#children.delete(child);
        resolve({ status: exitStatus.failed, signal: null, lastLine: error.message });
      });
    });
  }

  #onMessage(name: string, message: unknown): void {
    if (typeof message !== 'object' || message === null || !('kind' in message && 'text' in message)) return;
    if (message.kind === 'warning') this.#options.warn(`${name}: ${message.text}`);
    else if (name === FIRST) this.#options.status(`${name}: ${message.text}`);
  }
}

/** Empty lines, and what native GPU libraries log on their own: whatever comes of it, the worker says itself. */
function isNoise(line: string): boolean {
  return line.trim() === '' || /^(Warning|Info): |^\s+at .*\.(cpp|cc|h):\d+\)$/.test(line);
}
