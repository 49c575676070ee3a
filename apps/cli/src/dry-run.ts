import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir, totalmem } from 'node:os';
import path from 'node:path';
import type { RunEvent } from '@manyhands/coordinator';
import { loadModel, resolveModelDirectory } from '@manyhands/core/checkpoint';
import { microBatchCount, microBatchSize, type RunConfig } from '@manyhands/core/config';
import { type Model, memoryEstimate } from '@manyhands/core/model';
import { Display } from './display.js';
import { Interrupted } from './failure.js';
import { bytes, count, duration, loss, plural } from './format.js';
import { type LocalMachine, runLocally } from './local-run.js';
import { colors, note, print } from './output.js';

/** What a run will cost, as far as a few steps of it tell. */
export interface DryRun {
  readonly config: RunConfig;
  readonly machine: LocalMachine;
  readonly parameters: number;
  readonly tokensPerStep: number;
  /** Median over the steps after the first, which also warms up. */
  readonly secondsPerStep: number;
  readonly loss: number | null;
  readonly validationLoss: number | null;
  readonly memory: MemoryNeed;
  /** Bytes of the checkpoints that are kept, and of the token shards. */
  readonly disk: { readonly checkpoints: number; readonly data: number };
}

/** Bytes: of the coordinator, and of each worker process. */
interface MemoryNeed {
  readonly coordinator: number;
  readonly worker: number;
}

/** A Node process with its libraries and their code, before it holds a weight. */
const PROCESS_BYTES = 90e6;

/** Steps after resuming, whose times are measured. */
const MEASURED_STEPS = 3;

/**
 * Takes the run's first step in a temporary folder, with its own data, tokenizer, workers and backend; evaluates,
 * saves, resumes from there for a few steps more, and opens the model that was saved.
 * @returns null where it was interrupted
 * @throws whatever the run itself would fail with
 */
export async function tryRun(config: RunConfig, machine: LocalMachine): Promise<DryRun | null> {
  const folder = mkdtempSync(path.join(tmpdir(), 'manyhands-dry-run-'));
  const out = path.join(folder, 'run');
  const display = new Display();
  const events: RunEvent[] = [];
  const steps = async (total: number, resume: boolean) => {
    const run = { ...config.run, steps: total, evalEvery: config.run.evalEvery === 0 ? 0 : total };
    const watch = (event: RunEvent) => events.push(event);
    return runLocally({ config: { ...config, run }, out, resume, machine, display, watch });
  };
  try {
    const first = await steps(1, false);
    if (first.interrupted) return null;
    const last = await steps(1 + MEASURED_STEPS, true);
    if (last.interrupted) return null;
    const opened = resolveModelDirectory(out);
    const { model } = loadModel(opened);
    const timed = events.flatMap((event) => (event.kind === 'step' && event.step > 1 ? [event] : []));
    return {
      config,
      machine,
      parameters: model.size,
      tokensPerStep: median(timed.map((event) => event.tokens)),
      secondsPerStep: median(timed.map((event) => event.secondsPerStep)),
      loss: last.trainLoss,
      validationLoss: last.validationLoss,
      memory: memoryNeed(model, config, machine, fileSize(path.join(opened, 'optimizer.safetensors'))),
      disk: {
        checkpoints: folderSize(opened) * (config.run.keepLast + 1),
        data: folderSize(path.join(out, 'data')),
      },
    };
  } catch (error) {
    if (error instanceof Interrupted) return null;
    throw error;
  } finally {
    display.end();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The plan in a person's words, and a warning where this machine is too small for it. */
export function printDryRun(found: DryRun): void {
  const { config, machine, memory, disk } = found;
  const { workers, threads } = machine;
  const { steps } = config.run;
  const whole = memory.coordinator + workers * memory.worker;
  const validation = found.validationLoss === null ? '' : `, validation loss ${loss(found.validationLoss)}`;
  print(
    `${colors.green('all good:')} a step was taken, saved and resumed (loss ${loss(found.loss)}${validation})`,
  );
  print(`model    ${count(found.parameters)} parameters`);
  print(
    `batch    ${count(found.tokensPerStep)} tokens a step in ${plural(microBatchCount(config), 'micro-batch').replace(/chs$/, 'ches')}`,
  );
  print(`run      ${count(steps)} steps, ${count(steps * found.tokensPerStep)} tokens`);
  print(
    `time     about ${duration(steps * found.secondsPerStep)} with ${plural(workers, 'worker')} of ${plural(threads, 'thread')}`,
  );
  print(
    `memory   about ${bytes(whole)}: coordinator ${bytes(memory.coordinator)}, each worker ${bytes(memory.worker)}`,
  );
  print(
    `disk     about ${bytes(disk.checkpoints + disk.data)}: checkpoints ${bytes(disk.checkpoints)}, tokens ${bytes(disk.data)}`,
  );
  if (whole > totalmem()) {
    note(
      `warning: that is more memory than this machine has (${bytes(totalmem())}); take fewer workers or a smaller batch.microBatch.`,
    );
  }
}

function memoryNeed(model: Model, config: RunConfig, machine: LocalMachine, optimizer: number): MemoryNeed {
  const microBatches = microBatchCount(config);
  const size = Math.min(microBatchSize(config), config.batch.sequences);
  const { weights, thread, reduction } = memoryEstimate(model, size, config.model.context, microBatches);
  return {
    // The weights, a copy of them that is being sent, the gradient, what the optimiser remembers.
    coordinator: PROCESS_BYTES + 3 * weights + reduction + optimizer,
    // Two versions of the weights in shared memory, and for each thread the gradient that it hands over.
    worker: PROCESS_BYTES + 2 * weights + machine.threads * (thread + weights),
  };
}

function fileSize(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

function folderSize(folder: string): number {
  return readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
    const inside = path.join(folder, entry.name);
    return sum + (entry.isDirectory() ? folderSize(inside) : fileSize(inside));
  }, 0);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
