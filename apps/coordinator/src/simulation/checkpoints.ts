import { mix } from './arithmetic.js';
import type { Bug } from './bugs.js';
import type { SimulatedFolder } from './disk.js';

/** A run directory on the simulated disk: checkpoints, the mark of the best, and the journal of evaluations. */

export interface Content {
  readonly step: number;
  readonly weights: number;
  readonly best: { readonly step: number; readonly loss: number } | null;
  /** Length of the journal of evaluations. */
  readonly lines: number;
}

export const CHECKPOINTS = 'checkpoints';
const JOURNAL = 'metrics.jsonl';
const BEST = 'best';

const name = (step: number) => `step-${step}`;
const NONE = -1;

/** The blocks of each file, in the order in which they are written; the last file has the hashes of all. */
function filesOf({ step, weights, best, lines }: Content): [name: string, blocks: number[]][] {
  const state = [step, weights, best?.step ?? NONE, best?.loss ?? NONE, lines];
  return [
    ['model.safetensors', [weights, mix(weights, 1)]],
    ['optimizer.safetensors', [mix(weights, 2), mix(weights, 3)]],
    ['state.json', [...state, state.reduce(mix)]],
  ];
}

/** Null where it is not as it was written. */
export function readCheckpoint(run: SimulatedFolder, step: number): Content | null {
  const folder = run.folder(CHECKPOINTS)?.folder(name(step));
  const [saved, weights, bestStep, loss, lines] = folder?.file('state.json')?.blocks ?? [];
  if (saved !== step || weights === undefined || bestStep === undefined) return null;
  if (loss === undefined || lines === undefined) return null;
  const content = { step, weights, best: bestStep === NONE ? null : { step: bestStep, loss }, lines };
  const whole = filesOf(content).every(
    ([file, blocks]) => folder?.file(file)?.blocks.join() === blocks.join(),
  );
  return whole ? content : null;
}

/** Newest first, whole or not. */
export function savedSteps(run: SimulatedFolder): number[] {
  const names = run.folder(CHECKPOINTS)?.list() ?? [];
  return names
    .flatMap((entry) => /^step-(\d+)$/.exec(entry)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => b - a);
}

export function bestStep(run: SimulatedFolder): number | null {
  return run.file(BEST)?.blocks[0] ?? null;
}

/** What happens to a save between two of its operations. */
export type Milestone =
  | { readonly kind: 'operation'; readonly what: string }
  /** From here on the checkpoint outlasts a power loss. */
  | { readonly kind: 'kept'; readonly step: number }
  | { readonly kind: 'pruning'; readonly step: number };

/**
 * The operations of core/checkpoint's saveCheckpoint and markBest, one by one: the world may end between any two.
 * @param read gives what to save
 */
export function* save(
  run: SimulatedFolder,
  read: () => Content,
  { keepLast, bug }: { readonly keepLast: number; readonly bug: Bug | null },
): Generator<Milestone, void> {
  const operation = (what: string): Milestone => ({ kind: 'operation', what });
  const atCall = read();
  const { step } = atCall;
  const existing = readCheckpoint(run, step);
  if (existing !== null && existing.weights === atCall.weights) {
    yield* updateState(run, atCall);
    if (atCall.best?.step === step) yield* markBest(run, step);
    return;
  }

  yield operation('makeDirectory checkpoints');
  const checkpoints = run.makeFolder(CHECKPOINTS);
  yield* removeLeftovers(checkpoints);
  const beside = `.partial-${name(step)}`;
  yield operation(`makeDirectory ${beside}`);
  const folder = checkpoints.makeFolder(beside);
  for (const [i, [file, saved]] of filesOf(atCall).entries()) {
    yield operation(`create ${file}`);
    const created = folder.create(file);
    const blocks = bug === 'moving-weights' ? filesOf({ ...read(), step })[i][1] : saved;
    for (const block of blocks) {
      yield operation(`write ${file}`);
      created.blocks.push(block);
    }
    if (bug === 'forgotten-flush' || bug === 'rename-before-flush') continue;
    yield operation(`sync ${file}`);
    created.sync();
  }
  yield operation(`syncDirectory ${beside}`);
  folder.sync();
  if (savedSteps(run).includes(step)) {
    yield operation(`rename ${name(step)} out of the way`);
    checkpoints.rename(name(step), `.replaced-${name(step)}`);
  }
  yield operation(`rename ${beside}`);
  checkpoints.rename(beside, name(step));
  if (bug !== 'forgotten-directory-flush') {
    yield operation('syncDirectory checkpoints');
    checkpoints.sync();
  }
  if (bug === 'rename-before-flush') {
    for (const [file] of filesOf(atCall)) {
      yield operation(`sync ${file}`);
      folder.file(file)?.sync();
    }
  }
  yield operation('syncDirectory run');
  run.sync();
  yield { kind: 'kept', step };

  const best = bestStep(run);
  // Newer ones that are still there are damaged, or the run would have gone on from them.
  const kept = savedSteps(run).filter((other) => bug === 'damaged-counts' || other <= step);
  for (const old of kept.slice(keepLast)) {
    if (old === best) continue;
    yield { kind: 'pruning', step: old };
    checkpoints.rename(name(old), `.old-${name(old)}`);
  }
  yield* removeLeftovers(checkpoints);
  if (atCall.best?.step === step) yield* markBest(run, step);
}

/** Replaces state.json alone. */
function* updateState(run: SimulatedFolder, content: Content): Generator<Milestone, void> {
  const folder = run.folder(CHECKPOINTS)?.folder(name(content.step));
  const [file, blocks] = filesOf(content)[2];
  if (!folder || folder.file(file)?.blocks.join() === blocks.join()) return;
  yield { kind: 'operation', what: `create .${file}.partial` };
  const beside = folder.create(`.${file}.partial`);
  for (const block of blocks) {
    yield { kind: 'operation', what: `write .${file}.partial` };
    beside.blocks.push(block);
  }
  yield { kind: 'operation', what: `sync .${file}.partial` };
  beside.sync();
  yield { kind: 'operation', what: `rename .${file}.partial` };
  folder.rename(`.${file}.partial`, file);
  yield { kind: 'operation', what: `syncDirectory ${name(content.step)}` };
  folder.sync();
}

/** Points `best` at the checkpoint of a step. */
function* markBest(run: SimulatedFolder, step: number): Generator<Milestone, void> {
  yield { kind: 'operation', what: `symlink ${BEST}` };
  const link = run.create(`.${BEST}.partial`);
  link.blocks = [step];
  link.sync(); // a link has its target from the start
  yield { kind: 'operation', what: `rename ${BEST}` };
  run.rename(`.${BEST}.partial`, BEST);
  yield { kind: 'operation', what: 'syncDirectory run' };
  run.sync();
}

/** A crash between a checkpoint and its mark leaves `best` behind what the checkpoint knows. */
export function* repairBest(run: SimulatedFolder, from: Content | null): Generator<Milestone, void> {
  const best = from?.best?.step;
  if (best !== undefined && bestStep(run) !== best && savedSteps(run).includes(best))
    yield* markBest(run, best);
}

function* removeLeftovers(checkpoints: SimulatedFolder): Generator<Milestone, void> {
  for (const entry of checkpoints.list()) {
    if (!entry.startsWith('.')) continue;
    yield { kind: 'operation', what: `remove ${entry}` };
    checkpoints.remove(entry);
  }
}

/**
 * The newest whole checkpoint; null where there is none. Its name is flushed: the life before may have ended in between,
 * and what a run goes on from must outlast a power loss.
 */
export function newest(run: SimulatedFolder, bug: Bug | null): Content | null {
  if (bug !== 'unflushed-name') {
    run.folder(CHECKPOINTS)?.sync();
    run.sync();
  }
  const whole = savedSteps(run).flatMap((step) => readCheckpoint(run, step) ?? []);
  return (bug === 'older-checkpoint' ? whole.at(-1) : whole[0]) ?? null;
}

/** The journal of evaluations, a line each, the step; what is beyond a number of lines is cut. */
export function openJournal(
  run: SimulatedFolder,
  lines: number,
): { lines: readonly number[]; append(step: number): void; flush(): void } {
  const file = run.file(JOURNAL) ?? run.create(JOURNAL);
  run.sync();
  file.blocks = file.blocks.slice(0, lines);
  file.sync();
  return {
    get lines() {
      return file.blocks;
    },
    append: (step) => file.blocks.push(step),
    flush: () => file.sync(),
  };
}

/** Damages a checkpoint for ever, by a flipped bit or by hand. */
export function harm(run: SimulatedFolder, step: number, how: 'bit' | 'deleted'): void {
  const checkpoints = run.folder(CHECKPOINTS);
  if (how === 'deleted') {
    checkpoints?.remove(name(step));
    checkpoints?.sync();
    return;
  }
  const file = checkpoints?.folder(name(step))?.file('model.safetensors');
  if (!file) return;
  file.blocks[0] ^= 1;
  file.sync();
}
