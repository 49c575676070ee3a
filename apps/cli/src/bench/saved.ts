import { presets, show, UserError } from '@manyhands/core/config';
import { readJson } from '../input.js';
import type { Figure } from './figure.js';
import type { BenchResult } from './types.js';

/**
 * The results of a former `bench --json`.
 * @throws UserError where the file cannot be read, or holds something else
 */
export function readResults(file: string): BenchResult[] {
  const json = readJson(file, '--compare');
  const results: unknown = 'results' in json ? json.results : null;
  if (!Array.isArray(results)) {
    throw new UserError(`--compare ${file} holds no results: give what \`bench --json\` wrote.`);
  }
  const wrong = results.find((result) => !isResult(result));
  if (wrong !== undefined) {
    throw new UserError(
      `--compare ${file} has a result that is not whole, ${show(wrong)}: measure again with \`bench --json\`.`,
    );
  }
  return results;
}

const figures = [
  'tokensPerSecond',
  'gflops',
  'peakGflops',
  'mfu',
  'measuring',
  'generateTokensPerSecond',
] as const;
const amounts = ['threads', 'parameters', 'vocab', 'workspaceBytes', 'residentBytes'] as const;

function isResult(value: unknown): value is BenchResult {
  return (
    isRecord(value) &&
    typeof value.preset === 'string' &&
    Object.hasOwn(presets, value.preset) &&
    (value.backend === 'cpu' || value.backend === 'gpujs') &&
    typeof value.reproducible === 'boolean' &&
    typeof value.mode === 'string' &&
    typeof value.device === 'string' &&
    Array.isArray(value.microBatch) &&
    value.microBatch.length === 2 &&
    value.microBatch.every(isAmount) &&
    amounts.every((key) => isAmount(value[key])) &&
    figures.every((key) => isFigure(value[key]))
  );
}

function isFigure(value: unknown): value is Figure {
  return isRecord(value) && isAmount(value.median) && isAmount(value.spread);
}

function isAmount(value: unknown): value is number {
  return typeof value === 'number' && value >= 0;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
