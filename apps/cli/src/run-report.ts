import path from 'node:path';
import { bestStep, checkpointSteps, readJournal, readRunConfig } from '@manyhands/core/checkpoint';

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
  /** Validation losses of models that only count tokens; null before an evaluation with validation data. */
  readonly baselines: { readonly uniform: number; readonly unigram: number; readonly bigram: number } | null;
  /** Why the run ended itself at its last step; null where it did not. */
  readonly converged: string | null;
}

/** @throws UserError where the run's config cannot be read */
export function readRunReport(directory: string): RunReport {
  const lines = readJournal(path.join(directory, 'metrics.jsonl'));
  const trained = lines.findLast(({ kind }) => kind === 'train');
  const evaluations = lines.filter(({ kind }) => kind === 'eval').map((line) => line.validationLoss);
  const losses = evaluations.filter((value) => typeof value === 'number');
  return {
    step: numberOr(trained?.step, 0),
    steps: readRunConfig(directory).run.steps,
    trainLoss: numberOr(trained?.loss, null),
    validationLoss: losses.at(-1) ?? null,
    bestValidationLoss: losses.length > 0 ? Math.min(...losses) : null,
    bestStep: bestStep(directory),
    checkpoints: checkpointSteps(directory),
    baselines: baselinesOf(lines.findLast(({ kind }) => kind === 'eval')?.baselines),
    converged: convergedAt(directory, numberOr(trained?.step, 0)),
  };
}

function baselinesOf(value: unknown): RunReport['baselines'] {
  if (typeof value !== 'object' || value === null) return null;
  const { uniform, unigram, bigram } = { uniform: null, unigram: null, bigram: null, ...value };
  const known = typeof uniform === 'number' && typeof unigram === 'number' && typeof bigram === 'number';
  return known ? { uniform, unigram, bigram } : null;
}

/** A run that went on after it had converged is judged anew. */
function convergedAt(directory: string, step: number): string | null {
  const found = readJournal(path.join(directory, 'events.jsonl')).findLast(
    ({ event }) => event === 'converged',
  );
  return found?.step === step && typeof found.reason === 'string' ? found.reason : null;
}

function numberOr<T>(value: unknown, otherwise: T): number | T {
  return typeof value === 'number' ? value : otherwise;
}
