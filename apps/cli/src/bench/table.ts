import { bytes, count, percent, plural } from '../format.js';
import { colors } from '../output.js';
import type { Figure } from './figure.js';
import type { BenchCase, BenchResult, Comparison } from './types.js';

/** `nano on cpu, 2 threads`: what the figures of a result belong to. */
export function nameOf({ preset, backend, threads, reproducible }: BenchCase): string {
  return `${preset} on ${backend}${reproducible ? ' (reproducible)' : ''}, ${plural(threads, 'thread')}`;
}

/** A result in a person's words, one figure a line. */
export function tell(result: BenchResult): string {
  const row = (name: string, text: string) => `  ${name.padEnd(12)}${text}`;
  const { gflops, peakGflops, mfu } = result;
  return [
    `${nameOf(result)} (${result.mode}, ${result.device})`,
    row('training', `${figure(result.tokensPerSecond, count)} tokens/s`),
    row(
      '',
      `${figure(gflops, tenths)} of ${figure(peakGflops, tenths)} GFLOP/s, MFU ${figure(mfu, percent)}`,
    ),
    row('measuring', `${figure(result.measuring, percent)} of training`),
    row('generation', `${figure(result.generateTokensPerSecond, count)} tokens/s`),
    row('memory', `${bytes(result.workspaceBytes)} a thread, ${bytes(result.residentBytes)} in all`),
  ].join('\n');
}

function figure({ median, spread }: Figure, format: (value: number) => string): string {
  return `${format(median)} ± ${format(spread / 2)}`;
}

function tenths(value: number): string {
  return value.toFixed(1);
}

/** A figure beside its former value. */
export function tellComparison({ name, figure, before, now, ratio, worse }: Comparison): string {
  const [then, since] = [before, now].map((value) => Number(value.toPrecision(4)));
  return `${worse ? colors.red('worse') : '     '} ${name}: ${figure} ${then} → ${since}, × ${ratio.toFixed(2)}`;
}
