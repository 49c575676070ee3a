import type { Figure } from './figure.js';
import { nameOf } from './table.js';
import type { BenchCase, BenchResult, Comparison } from './types.js';

/** Beyond the spread: what the machine's moods explain. */
const TOLERANCE = 0.1;

/** What is compared, and whether more of it is better. */
const compared = [
  ['tokensPerSecond', true],
  ['mfu', true],
  ['generateTokensPerSecond', true],
  ['workspaceBytes', false],
  ['residentBytes', false],
] as const;

const caseKeys = ['preset', 'backend', 'threads', 'reproducible'] as const;

/** Every figure of `now` whose case was measured before; cases of one time alone are left out. */
export function compare(before: readonly BenchResult[], now: readonly BenchResult[]): Comparison[] {
  return now.flatMap((result) => {
    const former = before.find((other) => isSameCase(other, result));
    if (former === undefined) return [];
    const name = nameOf(result);
    return compared.map(([figure, moreIsBetter]): Comparison => {
      const [a, b] = [asFigure(former[figure]), asFigure(result[figure])];
      const margin = Math.max(a.spread, b.spread) + TOLERANCE * a.median;
      const loss = moreIsBetter ? a.median - b.median : b.median - a.median;
      return {
        name,
        figure,
        before: a.median,
        now: b.median,
        ratio: b.median / a.median,
        worse: loss > margin,
      };
    });
  });
}

function isSameCase(a: BenchCase, b: BenchCase): boolean {
  return caseKeys.every((key) => a[key] === b[key]);
}

function asFigure(value: Figure | number): Figure {
  return typeof value === 'number' ? { median: value, spread: 0 } : value;
}
