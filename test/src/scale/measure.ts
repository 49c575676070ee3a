import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readJournal } from '@manyhands/core/checkpoint';
import { z } from 'zod';
import { Network } from '../chaos/network.js';

export interface Setting {
  readonly workers: number;
  /** In a step, of one sequence each. */
  readonly microBatches: number;
  /** At least 2: the first half is not counted. */
  readonly steps: number;
  readonly preset: 'nano' | 'small';
  /** Milliseconds that a micro-batch is to take. */
  readonly pace: number;
  /** Of the line between the coordinator and all workers, each way; null for the loopback interface. */
  readonly megabits: number | null;
}

export interface Measurement {
  /** From one step to the next, on average, in the second half of them. */
  readonly secondsPerStep: number;
  /** Of the coordinator's process, all threads. */
  readonly cpuSecondsPerStep: number;
  readonly peakBytes: number;
  /** Of the model. */
  readonly weightBytes: number;
  /** In each step, the first half included. */
  readonly bytes: readonly { readonly received: number; readonly sent: number }[];
  /** Workers that each step was shared among. */
  readonly crews: readonly number[];
  /** Micro-batches that each worker answered for in the whole run. */
  readonly served: readonly number[];
}

const Taken = z.object({
  secondsPerStep: z.number(),
  cpuSecondsPerStep: z.number(),
  peakBytes: z.number(),
});
const joined = z.object({ join: z.string() });
const taken = z.object({ taken: Taken });
const served = z.object({ served: z.array(z.number()), weightBytes: z.number() });
const line = z.object({ crew: z.number(), bytesReceived: z.number(), bytesSent: z.number() });

const models = {
  nano: { layers: 4, heads: 4, channels: 128, context: 64 },
  small: { layers: 6, heads: 6, channels: 384, context: 64 },
};
const TEXT = 'the whale and the white ship said to his crew of a sea\n'.repeat(400);

/**
 * One run of fake workers against a true coordinator, in a process for each side.
 * @param folder of this run alone
 * @throws Error where the run or a worker failed, or a line of that width cannot be made here
 */
export async function measure(setting: Setting, folder: string, signal?: AbortSignal): Promise<Measurement> {
  const { workers, microBatches, steps, preset, pace, megabits } = setting;
  mkdirSync(folder, { recursive: true });
  const text = join(folder, 'text.txt');
  writeFileSync(text, TEXT);
  const config = {
    model: models[preset],
    data: { sources: [{ path: text, weight: 1 }], tokenizer: 'char' },
    batch: { sequences: microBatches, microBatch: 1 },
    run: { steps, seed: 1, evalEvery: 0, checkpointEvery: 0, reproducible: true },
    // One process plays all workers: where the machine is busy, its silence is not that of one of them.
    cluster: { minWorkers: workers, maxWorkers: workers, lostAfterSeconds: 60 },
  };
  const out = join(folder, 'run');
  const network = megabits === null ? null : narrow(megabits);
  const children: ChildProcess[] = [];
  const start = (program: string, within: readonly string[]) => {
    const child = startProcess(program, within, signal);
    children.push(child);
    return child;
  };
  try {
    const coordinator = start('coordinator-process.js', network?.withinCoordinator ?? []);
    const listen = network === null ? '127.0.0.1:0' : `${network.address}:7070`;
    const invited = answer(coordinator, joined);
    coordinator.send({ config, out, listen });
    const { join } = await invited;
    const players = start('crowd-process.js', network?.withinWorker(0) ?? []);
    const ends = Promise.all([answer(coordinator, taken), answer(players, served)]);
    players.send({ join, workers, pace });
    const [run, crowd] = await ends;
    const lines = readJournal(`${out}/metrics.jsonl`).map((text) => line.parse(text));
    const bytes = lines.map(({ bytesReceived, bytesSent }) => ({ received: bytesReceived, sent: bytesSent }));
    return { ...run.taken, ...crowd, bytes, crews: lines.map((each) => each.crew) };
  } finally {
    for (const child of children) child.kill('SIGKILL');
    network?.close();
  }
}

/** A network of the coordinator and one more, with a line of that width between them. */
function narrow(megabits: number): Network {
  const missing = Network.missing();
  if (missing !== null) throw new Error(`a line of ${megabits} Mbit/s cannot be made: ${missing}`);
  const network = new Network(1);
  try {
    network.fault(0, { kind: 'rate', megabits });
    return network;
  } catch (error) {
    network.close();
    throw error;
  }
}

function startProcess(program: string, within: readonly string[], signal?: AbortSignal): ChildProcess {
  const path = fileURLToPath(new URL(program, import.meta.url));
  const [command, ...args] = [...within, process.execPath, path];
  return spawn(command, args, {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    ...(signal && { signal }),
  });
}

/** The next message of a process that has this form; rejects where it ends before. */
function answer<T>(child: ChildProcess, form: z.ZodType<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const take = (message: unknown) => {
      const read = form.safeParse(message);
      if (!read.success) return;
      child.off('message', take);
      resolve(read.data);
    };
    child.on('message', take);
    child.once('error', reject);
    child.once('exit', (code, signal) =>
      reject(new Error(`${child.spawnargs.at(-1)} ended with ${signal ?? code}`)),
    );
  });
}
