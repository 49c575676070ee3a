import { type RunConfig, show, UserError } from '@manyhands/core/config';

/** What decides the weights that a run has so far: with another value it would be another run. */
const FIXED: readonly (readonly [section: keyof RunConfig, keys: readonly string[] | 'all'])[] = [
  ['task', 'all'],
  ['model', 'all'],
  ['data', 'all'],
  ['batch', ['sequences', 'microBatch']],
  ['optimizer', ['name']],
  ['run', ['seed', 'reproducible']],
];

/**
 * Holds the config of a resumed run against the one it was started with.
 * @throws UserError that names the first key that may not change, with both values
 */
export function refuseChanges(out: string, started: RunConfig, asked: RunConfig): void {
  for (const [section, keys] of FIXED) {
    const before: Readonly<Record<string, unknown>> = started[section];
    const after: Readonly<Record<string, unknown>> = asked[section];
    for (const key of keys === 'all' ? Object.keys(before) : keys) {
      if (JSON.stringify(before[key]) === JSON.stringify(after[key])) continue;
      throw new UserError(
        `${section}.${key} is ${show(after[key])}, but the run in ${out} was started with ${show(before[key])}, and a run goes on as it began: leave it out, or start a new run with another --out.`,
      );
    }
  }
}

/**
 * @param over whether a run with no step left is opened, to tell its workers so
 * @throws UserError where a resumed run has no step left to do, or more than were asked for
 */
export function refuseFinished(out: string, step: number, steps: number, over: boolean): void {
  if (step < steps || (over && step === steps)) return;
  throw new UserError(
    `${out} is at step ${step} already, and ${steps} steps were asked for: give --steps above ${step} to go on.`,
  );
}
