import path from 'node:path';
import { bestStep, checkpointSteps, readJournal, readRunConfig } from '@manyhands/core/checkpoint';
import { describeOverfitting, gapOf, overfitting } from '@manyhands/core/learning';
import { type SourceLoss, sourceLosses } from './source-losses.js';

/** What a run directory tells beside its weights. */
export interface RunReport {
  /** Of the newest training line. */
  readonly step: number;
  /** As its config has it. */
  readonly steps: number;
  readonly trainLoss: number | null;
  readonly validationLoss: number | null;
  readonly bestValidationLoss: number | null;
  readonly bestStep: number | null;
  /** Steps of the checkpoints, the newest first. */
  readonly checkpoints: readonly number[];
  /** Losses at the last evaluation, by source; empty before the first one. */
  readonly sources: readonly SourceLoss[];
  /** Validation losses of models that only count tokens; null before an evaluation with validation data. */
  readonly baselines: { readonly uniform: number; readonly unigram: number; readonly bigram: number } | null;
  /** The line of events.jsonl by which the run ended itself at its last step, with its evidence; null where it did not. */
  readonly ended: { readonly event: string; readonly reason: string } | null;
  /** Since when the model overfits, and what may help; null where nothing shows that it does. */
  readonly overfitting: string | null;
}

/** @throws UserError where the run's config cannot be read */
export function readRunReport(directory: string): RunReport {
  const lines = readJournal(path.join(directory, 'metrics.jsonl'));
  const trained = lines.findLast(({ kind }) => kind === 'train');
  const evaluations = lines.filter(({ kind }) => kind === 'eval');
  const losses = evaluations
    .map(({ validationLoss }) => validationLoss)
    .filter((value) => typeof value === 'number');
  const open = overfitting(evaluations.map(gapOf).filter((gap) => gap !== null));
  return {
    step: numberOr(trained?.step, 0),
    steps: readRunConfig(directory).run.steps,
    trainLoss: numberOr(trained?.loss, null),
    validationLoss: losses.at(-1) ?? null,
    bestValidationLoss: losses.length > 0 ? Math.min(...losses) : null,
    bestStep: bestStep(directory),
    checkpoints: checkpointSteps(directory),
    sources: sourcesOf(evaluations.at(-1) ?? {}),
    baselines: baselinesOf(evaluations.at(-1)?.baselines),
    ended: endedAt(directory, numberOr(trained?.step, 0)),
    overfitting: open === null ? null : describeOverfitting(open),
  };
}

/** A journal of before there were `trainSources` and `heldOut` has only `sources`. */
function sourcesOf({ sources, trainSources, heldOut }: Readonly<Record<string, unknown>>): SourceLoss[] {
  const losses = (value: unknown): Record<string, number> =>
    Object.fromEntries(
      Object.entries(Object(value)).filter(
        (entry): entry is [string, number] => typeof entry[1] === 'number',
      ),
    );
  return sourceLosses({
    sources: losses(sources),
    trainSources: losses(trainSources),
    heldOut: Array.isArray(heldOut) ? heldOut.map(String) : [],
  });
}

function baselinesOf(value: unknown): RunReport['baselines'] {
  if (typeof value !== 'object' || value === null) return null;
  const { uniform, unigram, bigram } = { uniform: null, unigram: null, bigram: null, ...value };
  const known = typeof uniform === 'number' && typeof unigram === 'number' && typeof bigram === 'number';
  return known ? { uniform, unigram, bigram } : null;
}

/** A run that went on after it had converged or diverged is judged anew. */
function endedAt(directory: string, step: number): RunReport['ended'] {
  const lines = readJournal(path.join(directory, 'events.jsonl'));
  const end = lines.findLast(({ event }) => ENDS.includes(event));
  if (end?.step !== step) return null;
  // A step of which the run diverged is saved only when it was taken again.
  const later = lines.slice(lines.indexOf(end));
  const saved = later.some((line) => line.event === 'checkpoint' && line.step === step);
  if (end.event === 'diverged' && saved) return null;
  const { time: _, event, reason, ...evidence } = end;
  return { event: String(event), reason: String(reason), ...evidence };
}

/** Events by which a run ends itself. */
const ENDS: readonly unknown[] = ['converged', 'diverged'];

function numberOr<T>(value: unknown, otherwise: T): number | T {
  return typeof value === 'number' ? value : otherwise;
}
