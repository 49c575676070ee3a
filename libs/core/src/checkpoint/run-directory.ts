import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import {
  configToYaml,
  makeOutputFolder,
  parseConfig,
  type RunConfig,
  type RunError,
  readYaml,
  UserError,
} from '../config/index.js';
import {
  bestStep,
  type Checkpoint,
  checkpointSteps,
  type DamagedCheckpoint,
  describeDamage,
  hashOfFile,
  markBest,
  newestCheckpoint,
  verifyCheckpoint,
} from './checkpoint.js';
import { type Journal, openJournal } from './journal.js';
import { lockDirectory } from './lock.js';
import { isModelDirectory } from './model-directory.js';
import { disk, replaceFile, type Storage, writing } from './storage.js';

const configName = 'config.yaml';
const tokenizerName = 'tokenizer.json';

/** A run directory that this process owns until `close`. */
export interface RunDirectory {
  readonly path: string;
  /** Where to go on from; null in a new run, and in one that was interrupted before its first checkpoint. */
  readonly checkpoint: Checkpoint | null;
  /** Newer checkpoints that cannot be trusted. */
  readonly damaged: readonly DamagedCheckpoint[];
  readonly metrics: Journal;
  readonly events: Journal;
  /** Resolves where another coordinator has the directory now: this process may not write there any more. */
  readonly lost: Promise<RunError>;
  writeConfig(config: RunConfig): Promise<void>;
  writeTokenizer(json: string): Promise<void>;
  close(): void;
}

/**
 * Opens the directory of a new run, or of one to go on with. On resuming, metrics beyond the checkpoint are cut;
 * events stay, since they happened. A new run overwrites what an attempt left that came to no data and no checkpoint.
 *
 * @throws UserError where the directory holds a run and `resume` is false, holds none and `resume` is true, is used
 *   by another coordinator, cannot be made, has only damaged checkpoints, or a tokenizer other than its checkpoint's;
 *   RunError where the system refuses a write
 */
export async function openRunDirectory(
  path: string,
  options: { readonly resume: boolean; readonly storage?: Storage },
): Promise<RunDirectory> {
  const storage = options.storage ?? disk;
  if (existsSync(path) && !statSync(path).isDirectory()) {
    throw new UserError(`--out ${path} is a file, but must be a folder.`);
  }
  const configured = existsSync(join(path, configName));
  if (options.resume && !configured) {
    throw new UserError(`${path} holds no run to resume: leave --resume out to start one there.`);
  }
  if (!configured) makeOutputFolder(path);
  const lock = lockDirectory(path);
  const closers: (() => void)[] = [() => lock.release()];
  const close = () => {
    for (const closer of closers.splice(0).reverse()) closer();
  };
  try {
    if (!options.resume && holdsRun(path)) {
      throw new UserError(
        `${path} holds a run already: add --resume to go on with it, or choose another --out.`,
      );
    }
    if (!options.resume && checkpointSteps(path).length > 0) {
      throw new UserError(
        `${path} has checkpoints, but no ${configName} to go on with them: choose another --out.`,
      );
    }
    const { checkpoint, damaged } = newestCheckpoint(path);
    if (!checkpoint && damaged.length > 0) throw new UserError(noWholeCheckpoint(path, damaged));
    if (checkpoint) demandTokenizer(path, checkpoint);
    if (checkpoint) await repairBest(path, checkpoint, storage);
    const until = { step: checkpoint?.step ?? 0, bytes: checkpoint ? checkpoint.state.metricsBytes : 0 };
    const metrics = openJournal(join(path, 'metrics.jsonl'), until);
    closers.push(() => metrics.close());
    const events = openJournal(
      join(path, 'events.jsonl'),
      options.resume ? undefined : { step: 0, bytes: 0 },
    );
    closers.push(() => events.close());
    const write = (name: string, text: string) =>
      writing(join(path, name), 'make room and start again', () =>
        replaceFile(storage, join(path, name), text),
      );
    return {
      path,
      checkpoint,
      damaged,
      metrics,
      events,
      lost: lock.lost,
      writeConfig: (config) => write(configName, configToYaml(config)),
      writeTokenizer: (json) => write(tokenizerName, json),
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

/** The config that a run was started with. */
export function readRunConfig(runDirectory: string): RunConfig {
  return parseConfig(readYaml(join(runDirectory, configName)));
}

/** Whether a directory holds a run's work: a checkpoint, or at least its data. A config alone is no more than a plan. */
export function holdsRun(path: string): boolean {
  if (!existsSync(join(path, configName))) return false;
  return checkpointSteps(path).length > 0 || existsSync(join(path, 'data', 'manifest.json'));
}

/**
 * The model directory that a person means by `--model`: a model directory or checkpoint itself, or of a run its
 * newest whole checkpoint, with `best` the one of the lowest validation loss.
 *
 * @throws UserError where there is none, or the checkpoint that was asked for is damaged
 */
export function resolveModelDirectory(
  path: string,
  options: { readonly best?: boolean; readonly warn?: (sentence: string) => void } = {},
): string {
  if (!existsSync(path))
    throw new UserError(`${path} does not exist: give a model directory or a run directory.`);
  if (isModelDirectory(path)) {
    if (existsSync(join(path, 'state.json'))) demandWhole(path);
    return path;
  }
  if (options.best) {
    const step = bestStep(path);
    if (step === null)
      throw new UserError(`${path} has no best checkpoint yet: leave --best out for its newest.`);
    demandWhole(join(path, 'best'));
    return join(path, 'best');
  }
  const { checkpoint, damaged } = newestCheckpoint(path);
  if (!checkpoint && damaged.length > 0) throw new UserError(noWholeCheckpoint(path, damaged));
  if (!checkpoint) {
    const what = existsSync(join(path, configName))
      ? 'is a run without a checkpoint yet'
      : 'is neither a model nor a run directory';
    throw new UserError(`${path} ${what}: give a folder with config.json and model.safetensors.`);
  }
  for (const one of damaged) options.warn?.(`${describeDamage(one)} Using ${checkpoint.path}.`);
  return checkpoint.path;
}

function demandWhole(path: string): void {
  const checked = verifyCheckpoint(path);
  if (!('state' in checked)) throw new UserError(`${describeDamage(checked)} Give another checkpoint.`);
}

function noWholeCheckpoint(path: string, damaged: readonly DamagedCheckpoint[]): string {
  return (
    `${path} has no whole checkpoint: ${damaged.map(describeDamage).join(' ')} ` +
    'Put a copy of one back, or start a new run with another --out.'
  );
}

/** A run's tokenizer.json lies in each checkpoint as well: damaged here, it is whole there. */
function demandTokenizer(path: string, checkpoint: Checkpoint): void {
  const expected = checkpoint.state.files[tokenizerName];
  const file = join(path, tokenizerName);
  if (expected === undefined || hashOfFile(file) === expected) return;
  const what = existsSync(file) ? 'is not the one that the run was trained with' : 'is missing';
  throw new UserError(
    `${file} ${what}: copy ${join(checkpoint.path, tokenizerName)} there and resume again.`,
  );
}

/** A crash between a checkpoint and its mark leaves `best` behind what the checkpoint knows. */
async function repairBest(path: string, { state }: Checkpoint, storage: Storage): Promise<void> {
  const best = state.bestStep;
  if (best === null || bestStep(path) === best || !checkpointSteps(path).includes(best)) return;
  await markBest(path, best, storage);
}
