import { type ChildProcess, fork } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type RunEvent, type RunSummary, startCoordinator } from '@manyhands/coordinator';
import { parseConfig, type RunConfig } from '@manyhands/core/config';
import { SharedMemory } from '@manyhands/proto';
import { startWorker } from '@manyhands/worker';

/** A folder that is gone after the test. */
export function temporaryFolder(after: (clean: () => void) => void): string {
  const folder = mkdtempSync(join(tmpdir(), 'manyhands-test-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A text with some structure to learn: the same at every call. */
export function sampleText(characters: number): string {
  const words = [
    'the',
    'whale',
    'sea',
    'and',
    'ship',
    'of',
    'a',
    'white',
    'captain',
    'said',
    'to',
    'his',
    'crew',
  ];
  let state = 12345;
  let text = '';
  while (text.length < characters) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    text += `${words[(state >>> 8) % words.length]}${state % 11 === 0 ? '.\n' : ' '}`;
  }
  return text.slice(0, characters);
}

/** A run that takes seconds: 8 micro-batches a step, so that there is something to share out. */
export function tinyConfig(folder: string, changes: Record<string, Record<string, unknown>> = {}): RunConfig {
  const path = join(folder, 'text.txt');
  writeFileSync(path, sampleText(20_000));
  const base: Record<string, Record<string, unknown>> = {
    model: { layers: 2, heads: 2, channels: 32, context: 32, dropout: 0.1 },
    data: { sources: [{ path, weight: 1 }], tokenizer: 'char' },
    batch: { sequences: 8, microBatch: 1 },
    run: { steps: 8, seed: 7, evalEvery: 4, checkpointEvery: 4, reproducible: true },
    cluster: { heartbeatSeconds: 0.2, lostAfterSeconds: 5 },
  };
  for (const [section, keys] of Object.entries(changes)) base[section] = { ...base[section], ...keys };
  return parseConfig(base);
}

export interface Outcome {
  readonly summary: RunSummary;
  readonly events: readonly RunEvent[];
}

/** What happens while a run goes on. */
export interface Crew {
  /** Threads of each worker in this process that is there from the start. */
  readonly threads: readonly number[];
  /** How many of them, from the first on, share memory with the coordinator. */
  readonly sharing?: number;
  /** Called for every event; may start or end workers, or stop the run. */
  readonly during?: (event: RunEvent, stage: Stage) => void;
}

export interface Stage {
  readonly joinUrl: string;
  stop(): void;
  /** A worker in this process; `shards` is where it looks for token shards of its own, `joinUrl` another way in. */
  join(
    threads: number,
    options?: { backend?: 'cpu' | 'gpujs'; shards?: string; joinUrl?: string; place?: number },
  ): { done: Promise<void>; leave(): void };
  /** A worker in a process of its own, which can be killed; `lie` changes what it sends. */
  fork(threads: number, lie?: Lie): ChildProcess;
}

/** How a worker lies: one bit of its gradients, or no number in them, from a version of the weights on. */
export interface Lie {
  readonly what: 'bit' | 'nan';
  readonly from: number;
}

const workerProgram = fileURLToPath(new URL('./worker-process.js', import.meta.url));
const lyingProgram = fileURLToPath(new URL('./lying-worker-process.js', import.meta.url));

/** A whole run over gRPC on the loopback interface, with its workers; everything is over when it resolves. */
export async function run(config: RunConfig, out: string, crew: Crew, resume = false): Promise<Outcome> {
  const events: RunEvent[] = [];
  const workers: Promise<void>[] = [];
  const processes: ChildProcess[] = [];
  let stage: Stage | null = null;
  const early: RunEvent[] = [];
  const report = (event: RunEvent) => {
    events.push(event);
    if (stage === null) early.push(event);
    else crew.during?.(event, stage);
  };
  const { sharing = 0 } = crew;
  const memory = sharing > 0 ? SharedMemory.create() : null;
  const coordinator = await startCoordinator({
    config,
    out,
    resume,
    listen: '127.0.0.1:0',
    shared: memory === null ? undefined : { memory, workers: sharing },
    report,
  });
  stage = {
    joinUrl: coordinator.joinUrl,
    stop: () => coordinator.stop(),
    join(threads, { backend = 'cpu', shards = '', joinUrl = coordinator.joinUrl, place = 0 } = {}) {
      const worker = startWorker({
        join: joinUrl,
        threads,
        backend,
        name: 'inside',
        shards,
        shared: memory !== null && place > 0 ? { memory, place } : undefined,
        report: () => {},
      });
      worker.done.catch(() => {}); // told below, when the run is over
      workers.push(worker.done);
      return worker;
    },
    fork(threads, lie) {
      const lies = lie === undefined ? [] : [lie.what, String(lie.from)];
      const child = fork(lie === undefined ? workerProgram : lyingProgram, [String(threads), ...lies], {
        env: { ...process.env, MANYHANDS_JOIN: coordinator.joinUrl },
        stdio: 'inherit',
      });
      processes.push(child);
      return child;
    },
  };
  for (const event of early) crew.during?.(event, stage);
  for (const [index, threads] of crew.threads.entries()) {
    stage.join(threads, index < sharing ? { place: index + 1 } : {});
  }
  try {
    const summary = await coordinator.done;
    await Promise.all(workers);
    return { summary, events };
  } finally {
    for (const child of processes) child.kill('SIGKILL');
    memory?.close();
  }
}
