import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { main } from '../cli/command-line.js';

/** How a process ended. */
export interface End {
  readonly status: number | null;
  readonly signal: string | null;
  /** The last lines that it said. */
  readonly said: readonly string[];
}

/** A `manyhands` process. */
export interface Command {
  readonly args: readonly string[];
  /** Options of Node itself. */
  readonly node?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** A command that runs another one, such as `ip netns exec NAME`. */
  readonly within: readonly string[];
}

const LINES_KEPT = 12;

/** Starts a process; `line` hears everything that it says. */
export function launch(
  { args, node = [], env, within }: Command,
  line: (line: string) => void,
): { readonly child: ChildProcess; readonly ended: Promise<End> } {
  const [command, ...rest] = [...within, process.execPath, ...node, main, ...args];
  const child = spawn(command, rest, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const said: string[] = [];
  for (const input of [child.stdout, child.stderr]) {
    createInterface({ input }).on('line', (text) => {
      said.push(text);
      if (said.length > LINES_KEPT) said.shift();
      line(text);
    });
  }
  return { child, ended: once(child, 'close').then(([status, signal]) => ({ status, signal, said })) };
}

/** An end in words, with what was said before it. */
export function describeEnd({ status, signal, said }: End): string {
  return [`ended with ${signal ?? `status ${status}`} after`, ...said].join('\n    ');
}

export interface KeptOptions {
  readonly name: string;
  /** Everything that the process says goes there. */
  readonly log: string;
  /** Not started before `wake`. */
  readonly resting?: boolean;
  command(): Command;
  line?(line: string): void;
  /** Whether to start it again. @throws Error where it should not have ended so */
  again(end: End): boolean;
}

/** As a service manager would wait. */
const RESTART_MILLISECONDS = 100;

/** A process that is started again when it ends, as a service manager does. */
export class Kept {
  /** Resolves when it is not started again; rejects where it ended as it should not have. */
  readonly done: Promise<void>;
  /** A fault is at work on it: others leave it alone. */
  busy = false;
  /** The signal that it was sent to end it. */
  asked: NodeJS.Signals | null = null;
  starts = 0;
  readonly #options: KeptOptions;
  readonly #over = new AbortController();
  #child: ChildProcess | null = null;
  #ended: Promise<unknown> = Promise.resolve();
  #rest: { readonly over: Promise<void>; wake(): void } | null = null;

  constructor(options: KeptOptions) {
    this.#options = options;
    if (options.resting) this.rest();
    this.done = this.#keep();
    this.done.catch(() => {}); // told to whoever asks
  }

  get name(): string {
    return this.#options.name;
  }

  /** Null between an end and the next start. */
  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  get resting(): boolean {
    return this.#rest !== null;
  }

  /** Returns whether there was a process to send it to. */
  signal(signal: NodeJS.Signals): boolean {
    if (this.#child === null) return false;
    if (signal !== 'SIGCONT' && signal !== 'SIGSTOP') this.asked = signal;
    return this.#child.kill(signal);
  }

  /** When it has ended, it is not started again until `wake`. */
  rest(): void {
    if (this.#rest !== null) return;
    let wake = () => {};
    const over = new Promise<void>((resolve) => {
      wake = resolve;
    });
    this.#rest = { over, wake };
  }

  wake(): void {
    this.#rest?.wake();
    this.#rest = null;
  }

  /** Resolves when the process that is there now has ended. */
  async gone(): Promise<void> {
    await this.#ended;
  }

  /** Ends it for good. */
  async end(): Promise<void> {
    this.#over.abort();
    this.wake();
    this.signal('SIGKILL');
    await this.done.catch(() => {});
  }

  async #keep(): Promise<void> {
    const { signal } = this.#over;
    const log = createWriteStream(this.#options.log, { flags: 'a' });
    try {
      for (;;) {
        await this.#rest?.over;
        if (signal.aborted) return;
        if (this.#rest !== null) continue;
        const end = await this.#run((line) => log.write(`${line}\n`));
        if (signal.aborted || !this.#options.again(end)) return;
        await delay(RESTART_MILLISECONDS, undefined, { signal }).catch(() => {});
      }
    } finally {
      log.end();
    }
  }

  async #run(log: (line: string) => void): Promise<End> {
    const { command, line } = this.#options;
    const { child, ended } = launch(command(), (text) => {
      log(text);
      line?.(text);
    });
    this.#child = child;
    this.#ended = ended;
    this.asked = null;
    log(`--- start ${++this.starts}: process ${child.pid}`);
    const end = await ended;
    this.#child = null;
    log(`--- ended with ${end.signal ?? `status ${end.status}`}`);
    return end;
  }
}
