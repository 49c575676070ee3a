import { UserError } from '@manyhands/core/config';
import type { BackendChoice } from '@manyhands/core/kernels';
import { checkOutputFile } from '../output-file.js';

/** What `--backend` takes. */
export const backends: readonly BackendChoice[] = ['auto', 'cpu', 'gpujs'];

/** The options that many commands share, in one wording. */
export const wording = {
  data: 'files, folders, globs, or the bundled corpora sotu and moby-dick',
  model: 'a model directory, or a run directory (its newest whole checkpoint)',
  best: 'of a run directory, take the checkpoint with the lowest validation loss',
  resume: 'go on from the newest whole checkpoint in --out, which it needs',
  findRate:
    'propose optimizer.lr: a short run whose rate rises until it diverges (Smith’s range test), of which nothing is kept',
  plot: 'with --find-lr: also draw the loss over the rate into this file, as SVG',
  trace: 'write what was done when to this file, in Chrome’s trace format (ui.perfetto.dev opens it)',
  json: 'one JSON object on standard output',
} as const;

/** What `--trace` hands on, checked before the work. */
export function traceOption(file: string | undefined): { trace?: string } {
  if (file === undefined) return {};
  checkOutputFile('--trace', file);
  return { trace: file };
}

/** Where `--plot` draws the curve of `--find-lr`, checked before the work; null: nowhere. */
export function plotOption({
  plot,
  findLr,
}: {
  readonly plot?: string;
  readonly findLr?: boolean;
}): string | null {
  if (plot === undefined) return null;
  if (!findLr) throw new UserError('--plot draws what --find-lr finds: give --find-lr too.');
  checkOutputFile('--plot', plot);
  return plot;
}

/** Demands an option that the contract requires, in the words of every other error. */
export function required<T>(value: T | undefined, option: string, what: string): T {
  if (value === undefined) throw new UserError(`${option} is missing: give ${what}.`);
  return value;
}
