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
  };
}

function numberOr<T>(value: unknown, otherwise: T): number | T {
  return typeof value === 'number' ? value : otherwise;
}
