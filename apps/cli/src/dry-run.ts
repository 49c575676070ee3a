import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { RunEvent } from '@manyhands/coordinator';
import { loadAnyModel, resolveModelDirectory } from '@manyhands/core/checkpoint';
import { microBatchCount, type RunConfig } from '@manyhands/core/config';
import { Display } from './display.js';
import { Interrupted } from './failure.js';
import { bytes, count, duration, loss, plural } from './format.js';
import { runLocally } from './local-run.js';
import { type LocalMachine, type MemoryNeed, memoryNeed, totalNeed } from './memory.js';
import { colors, print } from './output.js';
import { unitOf } from './run-config.js';

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
    const { model } = loadAnyModel(opened);
    const timed = events.flatMap((event) => (event.kind === 'step' && event.step > 1 ? [event] : []));
    return {
      config,
      machine,
      parameters: model.size,
      tokensPerStep: median(timed.map((event) => event.tokens)),
      secondsPerStep: median(timed.map((event) => event.secondsPerStep)),
      loss: last.trainLoss,
      validationLoss: last.validationLoss,
      memory: memoryNeed(model, config, machine),
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

/** The plan in a person's words. */
export function printDryRun(found: DryRun): void {
  const { config, machine, memory, disk } = found;
  const { workers, threads } = machine;
  const { steps } = config.run;
  const unit = unitOf(config);
  const validation = found.validationLoss === null ? '' : `, validation loss ${loss(found.validationLoss)}`;
  print(
    `${colors.green('all good:')} a step was taken, saved and resumed (loss ${loss(found.loss)}${validation})`,
  );
  print(`model    ${count(found.parameters)} parameters`);
  print(
    `batch    ${count(found.tokensPerStep)} ${unit} a step in ${plural(microBatchCount(config), 'micro-batch').replace(/chs$/, 'ches')}`,
  );
  print(`run      ${count(steps)} steps, ${count(steps * found.tokensPerStep)} ${unit}`);
  print(
    `time     about ${duration(steps * found.secondsPerStep)} with ${plural(workers, 'worker')} of ${plural(threads, 'thread')}`,
  );
  print(
    `memory   about ${bytes(totalNeed(memory, machine))}: coordinator ${bytes(memory.coordinator)}, each worker ${bytes(memory.worker)} and ${bytes(memory.thread)} a thread`,
  );
  print(
    `disk     about ${bytes(disk.checkpoints + disk.data)}: checkpoints ${bytes(disk.checkpoints)}, tokens ${bytes(disk.data)}`,
  );
}

function fileSize(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

/** 0 where there is none: games need no data. */
function folderSize(folder: string): number {
  if (!existsSync(folder)) return 0;
  return readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
    const inside = path.join(folder, entry.name);
    return sum + (entry.isDirectory() ? folderSize(inside) : fileSize(inside));
  }, 0);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
