import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { readJournal } from '@manyhands/core/checkpoint';
import { configToYaml, type RunConfig } from '@manyhands/core/config';
import { type Command, describeEnd, type End, Kept } from './kept.js';
import type { Network } from './network.js';
import type { SmallDisk } from './small-disk.js';

/** Lies beside what the coordinator writes with. */
const crashPoint = import.meta.resolve('@manyhands/core/checkpoint').replace('index.js', 'crash-point.js');
const CRASH_LINE = /^crash point: (.*)$/;

export interface StageOptions {
  readonly config: RunConfig;
  /** Of this run alone: its configuration, its logs and, without a small disk, the run directory. */
  readonly folder: string;
  /** Workers that are there from the start, and more that may join. */
  readonly workers: number;
  readonly guests: number;
  readonly network: Network | null;
  readonly disk: SmallDisk | null;
  /** Where the coordinator dies by itself, as crash-point.ts reads it; asked at each of its starts. */
  crash(): string | null;
  /** A crash point was reached. */
  crashed(where: string): void;
}

/** The processes of one run, kept alive, and what can be seen of the run from outside. */
export class Stage {
  readonly out: string;
  readonly coordinator: Kept;
  readonly workers: readonly Kept[];
  readonly options: StageOptions;
  /** Resolves when the run is done; rejects at what should not have happened. */
  readonly done: Promise<void>;
  /** Workers whose lines have a fault. */
  readonly badLines = new Set<number>();
  /** The disk is full, or was when the coordinator started. */
  full = false;
  /** Another coordinator tries to have the run directory. */
  contended = false;
  /** A checkpoint was damaged since the coordinator started. */
  damaged = false;
  /** The coordinator has taken a step since its start. */
  stepping = false;
  finished = false;
  /** Most steps that a death made the run compute again. */
  recomputed = 0;
  readonly #port: number;
  #fail: (error: unknown) => void = () => {};
  #join: string | null = null;
  #stepBefore = 0;
  #crashedAt: string | null = null;
  readonly #lasting = new Set<() => void>();

  private constructor(options: StageOptions, port: number) {
    this.options = options;
    this.#port = port;
    const { folder, config, disk, workers, guests } = options;
    mkdirSync(folder, { recursive: true });
    this.out = join(disk?.folder ?? folder, 'run');
    writeFileSync(join(folder, 'config.yaml'), configToYaml(config));
    this.workers = Array.from({ length: workers + guests }, (_, index) => this.#worker(index));
    this.coordinator = new Kept({
      name: 'coordinator',
      log: join(folder, 'coordinator.log'),
      command: () => this.#coordinatorCommand(),
      line: (line) => this.#heard(line),
      again: (end) => this.#goesOn(end),
    });
    const failed = new Promise<never>((_, reject) => {
      this.#fail = reject;
    });
    for (const worker of this.workers) worker.done.catch(this.#fail);
    this.done = Promise.race([this.coordinator.done, failed]);
    this.done.catch(() => {}); // told to whoever asks
  }

  static async open(options: StageOptions): Promise<Stage> {
    // In a namespace of its own every port is free.
    return new Stage(options, options.network === null ? await freePort() : 7070);
  }

  /** The last step in the metrics; 0 where there is none. */
  get step(): number {
    const last = readJournal(join(this.out, 'metrics.jsonl')).findLast(({ kind }) => kind === 'train');
    return Number(last?.step ?? 0);
  }

  /** Workers know where to join. */
  get serving(): boolean {
    return this.#join !== null;
  }

  /** A second coordinator of the same run, at another port. */
  get rival(): Command {
    const { network } = this.options;
    const listen = network === null ? ['127.0.0.1:0'] : [`${network.address}:0`, '--insecure'];
    return {
      args: ['coordinator', '--resume', '--out', this.out, '--listen', ...listen],
      within: network?.withinCoordinator ?? [],
    };
  }

  /** Ends a fault after a time, or when the faults are over. */
  lasts(milliseconds: number, undo: () => void): void {
    const end = () => {
      clearTimeout(timer);
      if (!this.#lasting.delete(end)) return;
      try {
        undo();
      } catch (error) {
        this.#fail(error);
      }
    };
    const timer = setTimeout(end, milliseconds);
    this.#lasting.add(end);
  }

  /** Ends all faults that last. */
  calm(): void {
    for (const end of this.#lasting) end();
  }

  /** Ends all processes. */
  async close(): Promise<void> {
    this.calm();
    await Promise.all([this.coordinator, ...this.workers].map((process) => process.end()));
  }

  #coordinatorCommand(): Command {
    const { folder, network, disk, crash } = this.options;
    if (disk?.filled !== true) this.full = false;
    this.#crashedAt = null;
    this.stepping = false;
    this.#stepBefore = this.damaged ? 0 : this.step;
    this.damaged = false;
    // As the units of a service manager do: a run that has begun is gone on with.
    const begun = existsSync(join(this.out, 'config.yaml'));
    const run = begun ? ['--resume'] : ['--config', join(folder, 'config.yaml')];
    const listen = network === null ? ['127.0.0.1'] : [network.address];
    const at = crash();
    return {
      args: [
        ...['coordinator', ...run, '--out', this.out],
        ...['--listen', `${listen}:${this.#port}`, ...(network === null ? [] : ['--insecure'])],
      ],
      within: network?.withinCoordinator ?? [],
      ...(at !== null && { node: ['--import', crashPoint], env: { MANYHANDS_CRASH: at } }),
    };
  }

  #heard(line: string): void {
    const crash = CRASH_LINE.exec(line);
    if (crash !== null) {
      this.#crashedAt = crash[1];
      this.options.crashed(crash[1]);
    }
    if (/^step .*loss/.test(line)) this.stepping = true;
    const resumed = /going on from step (\d+)/.exec(line);
    if (resumed !== null) this.recomputed = Math.max(this.recomputed, this.#stepBefore - Number(resumed[1]));
    const join = /manyhands:\/\/[^\s'"]+/.exec(line)?.[0];
    if (join === undefined) return;
    if (this.#join !== null && this.#join !== join) {
      this.#fail(new Error('the join line is another one after a restart: workers cannot come back'));
    }
    if (this.#join !== null) return;
    this.#join = join;
    for (const worker of this.workers.slice(0, this.options.workers)) worker.wake();
  }

  /** Whether a coordinator that ended so is started again; status 2 is for people, so no service manager would. */
  #goesOn(end: End): boolean {
    const { asked } = this.coordinator;
    const said = end.said.join('\n');
    if (end.status === 0) {
      this.finished = true;
      return false;
    }
    const expected =
      (end.signal === 'SIGKILL' && this.#crashedAt !== null) ||
      (end.signal !== null && end.signal === asked) ||
      (end.status === 130 && asked === 'SIGTERM') ||
      (end.status === 1 && this.full) ||
      (end.status === 2 && this.contended && /in use by another coordinator/.test(said));
    if (!expected) throw new Error(`the coordinator ${describeEnd(end)}`);
    return true;
  }

  #worker(index: number): Kept {
    const name = `worker-${index + 1}`;
    const { folder, network } = this.options;
    const kept: Kept = new Kept({
      name,
      log: join(folder, `${name}.log`),
      resting: true,
      command: () => ({
        args: ['worker', '--threads', '1', '--backend', 'cpu', '--name', name],
        env: { MANYHANDS_JOIN: this.#join ?? '' },
        within: network?.withinWorker(index) ?? [],
      }),
      again: (end) => {
        const said = end.said.join('\n');
        if (end.status === 0 && /the run is over: all \d+ steps/.test(said)) return false;
        const expected =
          end.status === 0 || // told that the coordinator was interrupted
          (end.signal !== null && end.signal === kept.asked) ||
          (end.status === 130 && kept.asked === 'SIGINT') ||
          (end.status === 1 && /gave up after/.test(said));
        if (!expected) throw new Error(`${name} ${describeEnd(end)}`);
        return true;
      },
    });
    return kept;
  }
}

/** A port that nobody had a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('a socket without a port');
  return address.port;
}
