/**
 * Checkpoints: RUN/checkpoints/step-000500/ is a model directory with optimizer.safetensors and state.json. It is
 * written beside its final name, flushed, hashed and renamed, so that under its name it is whole or absent.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { RunError, UserError } from '../config/index.js';
import type { Model, ValueModel } from '../model/index.js';
import { loadAnyModel, modelFiles, weightsSha256 } from './model-directory.js';
import { readSafetensors, safetensorsParts } from './safetensors.js';
import { stateFromJson, stateToJson, type TrainingState } from './state.js';
import { disk, replaceFile, type Storage, writeThrough, writing } from './storage.js';

/** What a checkpoint is made of. `optimizer` holds flat arrays by name, such as `exp_avg`. */
export interface CheckpointContent {
  readonly step: number;
  readonly model: Model | ValueModel;
  readonly weights: Float32Array;
  readonly optimizer: Readonly<Record<string, Float32Array>>;
  readonly state: Omit<TrainingState, 'step' | 'weightsSha256' | 'files'>;
  readonly tokenizerJson: string | null;
}

export interface Checkpoint {
  readonly path: string;
  readonly step: number;
  readonly state: TrainingState;
}

export interface DamagedCheckpoint {
  readonly path: string;
  readonly step: number;
  /** One for each file that is not as it was written, with both hashes. */
  readonly reasons: readonly string[];
}

export interface LoadedCheckpoint {
  readonly weights: Float32Array;
  readonly optimizer: Record<string, Float32Array>;
  readonly state: TrainingState;
  readonly tokenizerJson: string | null;
}

/**
 * Saves a checkpoint, then removes old ones: the newest `keepLast`, those of the steps in `keep` and the one that
 * `best` points at stay. Of a whole checkpoint of the same step and weights only state.json is written anew, and only
 * if the state differs.
 *
 * @throws RunError where the system refuses a write (full disk, read-only): every earlier checkpoint is still there
 */
export async function saveCheckpoint(
  runDirectory: string,
  content: CheckpointContent,
  options: { readonly keepLast: number; readonly keep?: readonly number[]; readonly storage?: Storage },
): Promise<Checkpoint> {
  const { step, model, weights, optimizer, tokenizerJson } = content;
  const storage = options.storage ?? disk;
  const directory = join(runDirectory, 'checkpoints');
  const path = checkpointPath(runDirectory, step);
  const sha256 = weightsSha256(weights);
  const existing = existsSync(path) ? verifyCheckpoint(path) : null;
  if (existing && 'state' in existing && existing.state.weightsSha256 === sha256) {
    return updateState(existing, content, storage);
  }

  const files = modelFiles(model, weights, tokenizerJson);
  const tensors = Object.entries(optimizer).map(([name, data]) => ({ name, shape: [data.length], data }));
  files.set('optimizer.safetensors', safetensorsParts(tensors, { format: 'pt' }));

  const beside = join(directory, `.partial-${stepName(step)}`);
  const kept = checkpointSteps(runDirectory).filter((other) => other !== step);
  const afterwards =
    kept.length > 0
      ? `${stepName(kept[0])} is untouched, so make room and go on with --resume`
      : 'nothing was saved yet, so make room and start again';
  return writing(`The checkpoint ${path}`, afterwards, async () => {
    try {
      await storage.makeDirectory(directory);
      await removeLeftovers(directory, storage);
      await storage.makeDirectory(beside);
      const hashes: Record<string, string> = {};
      for (const [name, parts] of files)
        hashes[name] = await writeThrough(storage, join(beside, name), parts);
      const state: TrainingState = { ...content.state, step, weightsSha256: sha256, files: hashes };
      await writeThrough(storage, join(beside, 'state.json'), [new TextEncoder().encode(stateToJson(state))]);
      await storage.syncDirectory(beside);
      if (existing) await storage.rename(path, join(directory, `.replaced-${stepName(step)}`));
      await storage.rename(beside, path);
      await storage.syncDirectory(directory);
      await storage.syncDirectory(runDirectory);
      await prune(runDirectory, step, options, storage);
      return { path, step, state };
    } catch (error) {
      await storage.remove(beside).catch(() => {}); // what could not be written may not be removable either
      throw error;
    }
  });
}

/**
 * The newest checkpoint whose every file has the hash it was written with, and the newer ones that do not. Reads
 * each file once; null where there is no whole one.
 */
export function newestCheckpoint(runDirectory: string): {
  readonly checkpoint: Checkpoint | null;
  readonly damaged: readonly DamagedCheckpoint[];
} {
  const damaged: DamagedCheckpoint[] = [];
  for (const step of checkpointSteps(runDirectory)) {
    const checked = verifyCheckpoint(checkpointPath(runDirectory, step));
    if ('state' in checked) return { checkpoint: checked, damaged };
    damaged.push(checked);
  }
  return { checkpoint: null, damaged };
}

/** Compares every file of a checkpoint with the hash it was written with. */
export function verifyCheckpoint(path: string): Checkpoint | DamagedCheckpoint {
  const named = namedStep(path) ?? Number.NaN;
  let text: string;
  try {
    text = readFileSync(join(path, 'state.json'), 'utf8');
  } catch {
    return { path, step: named, reasons: ['state.json is missing'] };
  }
  const state = stateFromJson(text);
  if ('reason' in state) return { path, step: named, reasons: [state.reason] };
  const reasons: string[] = [];
  if (!Number.isNaN(named) && state.step !== named) reasons.push(`state.json is that of step ${state.step}`);
  for (const [name, expected] of Object.entries(state.files)) {
    const actual = hashOfFile(join(path, name));
    if (actual === null) reasons.push(`${name} cannot be read; it was written with sha256 ${expected}`);
    else if (actual !== expected)
      reasons.push(`${name} has sha256 ${actual}, but was written with ${expected}`);
  }
  return reasons.length > 0 ? { path, step: state.step, reasons } : { path, step: state.step, state };
}

/**
 * Loads a checkpoint that continues a run of `model`; every hash is checked first.
 *
 * @throws RunError for a damaged file, with both hashes; UserError where the checkpoint is of another model
 */
export function loadCheckpoint(path: string, model: Model | ValueModel): LoadedCheckpoint {
  const checked = verifyCheckpoint(path);
  if (!('state' in checked)) throw new RunError(describeDamage(checked));
  const loaded = loadAnyModel(path);
  const different = Object.entries(model.config).find(
    ([key, value]) => Object.entries(loaded.model.config).find(([name]) => name === key)?.[1] !== value,
  );
  if (different) {
    const [key, value] = different;
    const saved = Object.entries(loaded.model.config).find(([name]) => name === key)?.[1];
    throw new UserError(
      `${path} is of another model than the run's config: ${key} is ${String(value)} in the config, but ` +
        `${String(saved)} in the checkpoint; resume with the config it was trained with.`,
    );
  }
  const optimizer: Record<string, Float32Array> = {};
  for (const [name, { data }] of readSafetensors(join(path, 'optimizer.safetensors')).tensors)
    optimizer[name] = data;
  return { weights: loaded.weights, optimizer, state: checked.state, tokenizerJson: loaded.tokenizerJson };
}

/** One sentence for a damaged checkpoint. */
export function describeDamage({ path, reasons }: DamagedCheckpoint): string {
  return `The checkpoint ${path} is damaged: ${reasons.join('; ')}.`;
}

/** Points RUN/best at the checkpoint of a step, which is kept from then on. */
export async function markBest(runDirectory: string, step: number, storage: Storage = disk): Promise<void> {
  const target = join('checkpoints', stepName(step));
  if (!existsSync(join(runDirectory, target, 'state.json'))) {
    throw new RangeError(`there is no checkpoint of step ${step} to call the best`);
  }
  await writing(`${join(runDirectory, 'best')}`, 'the checkpoints themselves are whole', async () => {
    const beside = join(runDirectory, '.best.partial');
    await storage.remove(beside);
    await storage.symlink(target, beside);
    await storage.rename(beside, join(runDirectory, 'best'));
    await storage.syncDirectory(runDirectory);
  });
}

/** The step that RUN/best points at, null where nothing is marked. */
export function bestStep(runDirectory: string): number | null {
  try {
    const match = /^step-(\d+)$/.exec(basename(readlinkSync(join(runDirectory, 'best'))));
    return match ? Number(match[1]) : null;
  } catch {
    return null;
  }
}

/** Steps of the checkpoints that are there, newest first, whole or not. */
export function checkpointSteps(runDirectory: string): number[] {
  const directory = join(runDirectory, 'checkpoints');
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .flatMap((name) => /^step-(\d{6,15})$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => b - a);
}

/** Where the checkpoint of a step lies, if there is one. */
export function checkpointPath(runDirectory: string, step: number): string {
  return join(runDirectory, 'checkpoints', stepName(step));
}

/** The step that a checkpoint's folder is named after; null for another folder. */
export function namedStep(path: string): number | null {
  const step = /step-(\d+)$/.exec(basename(path))?.[1];
  return step === undefined ? null : Number(step);
}

function stepName(step: number): string {
  return `step-${String(step).padStart(6, '0')}`;
}

async function updateState(
  existing: Checkpoint,
  content: CheckpointContent,
  storage: Storage,
): Promise<Checkpoint> {
  const { path, step } = existing;
  const { weightsSha256: sha256, files } = existing.state;
  const state: TrainingState = { ...content.state, step, weightsSha256: sha256, files };
  if (!isDeepStrictEqual(state, existing.state)) {
    const file = join(path, 'state.json');
    await writing(file, 'the one before it is untouched, so make room and go on with --resume', () =>
      replaceFile(storage, file, stateToJson(state)),
    );
  }
  return { path, step, state };
}

/**
 * Keeps the last ones up to `step`, which was just saved: newer ones are damaged, or the run would have gone on from them.
 * The others are taken out of sight by one rename before they are deleted: no half-deleted one has a name.
 */
async function prune(
  runDirectory: string,
  step: number,
  { keepLast, keep = [] }: { readonly keepLast: number; readonly keep?: readonly number[] },
  storage: Storage,
): Promise<void> {
  const directory = join(runDirectory, 'checkpoints');
  const best = bestStep(runDirectory);
  const known = checkpointSteps(runDirectory).filter((other) => other <= step);
  for (const old of known.slice(keepLast)) {
    if (old !== best && !keep.includes(old))
      await storage.rename(join(directory, stepName(old)), join(directory, `.old-${stepName(old)}`));
  }
  await removeLeftovers(directory, storage);
}

async function removeLeftovers(directory: string, storage: Storage): Promise<void> {
  for (const name of readdirSync(directory)) {
    if (/^\.(partial|replaced|old)-step-\d+$/.test(name)) await storage.remove(join(directory, name));
  }
}

/** sha256 of a file; null where it is missing or cannot be read. */
export function hashOfFile(path: string): string | null {
  let file: number | null = null;
  try {
    file = openSync(path, 'r');
    const hash = createHash('sha256');
    const chunk = new Uint8Array(Math.min(4 << 20, Math.max(1, fstatSync(file).size)));
    for (let count = readSync(file, chunk); count > 0; count = readSync(file, chunk)) {
      hash.update(chunk.subarray(0, count));
    }
    return hash.digest('hex');
  } catch {
    return null;
  } finally {
    if (file !== null) closeSync(file);
  }
}
