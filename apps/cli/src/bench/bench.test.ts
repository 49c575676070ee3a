import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { UserError } from '@manyhands/core/config';
import fc from 'fast-check';
import { compare } from './compare.js';
import { figureOf } from './figure.js';
import { readResults } from './saved.js';
import { tell, tellComparison } from './table.js';
import type { BenchResult } from './types.js';

const result: BenchResult = {
  preset: 'nano',
  backend: 'cpu',
  threads: 2,
  reproducible: false,
  mode: 'wasm-simd+native',
  device: 'a processor',
  parameters: 804_096,
  vocab: 65,
  microBatch: [3, 64],
  tokensPerSecond: { median: 10_000, spread: 400 },
  gflops: { median: 51, spread: 2 },
  peakGflops: { median: 100, spread: 8 },
  mfu: { median: 0.51, spread: 0.02 },
  measuring: { median: 0.004, spread: 0.0002 },
  generateTokensPerSecond: { median: 500, spread: 10 },
  workspaceBytes: 17e6,
  residentBytes: 200e6,
};

const slower = (key: 'tokensPerSecond' | 'mfu' | 'generateTokensPerSecond', factor: number): BenchResult => ({
  ...result,
  [key]: { ...result[key], median: result[key].median * factor },
});
const worse = (before: BenchResult, now: BenchResult) =>
  compare([before], [now]).flatMap((one) => (one.worse ? [one.figure] : []));

test('a figure is the median and the range of the middle half', () => {
  assert.deepEqual(figureOf([5]), { median: 5, spread: 0 });
  assert.deepEqual(figureOf([4, 1, 3, 2]), { median: 2.5, spread: 1.5 }); // numpy.percentile: 1.75, 3.25
  assert.deepEqual(figureOf([7, 1, 3, 5, 9]), { median: 5, spread: 4 });
  assert.throws(() => figureOf([]), RangeError);
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 1e12, noNaN: true }), { minLength: 1 }), (values) => {
      const { median, spread } = figureOf(values);
      assert.ok(Math.min(...values) <= median && median <= Math.max(...values));
      assert.ok(spread >= 0 && spread <= Math.max(...values) - Math.min(...values));
    }),
  );
});

test('a result against itself is not worse', () => {
  const same = compare([result], [result]);
  assert.equal(same.length, 5);
  assert.ok(same.every((one) => one.ratio === 1 && !one.worse));
});

test('a figure is worse only beyond its spread and a tenth', () => {
  // 10,000 − 400 − 1,000 = 8,600
  assert.deepEqual(worse(result, slower('tokensPerSecond', 0.861)), []);
  assert.deepEqual(worse(result, slower('tokensPerSecond', 0.859)), ['tokensPerSecond']);
  const restless = { ...slower('tokensPerSecond', 0.8), tokensPerSecond: { median: 8000, spread: 1500 } };
  assert.deepEqual(worse(result, restless), [], 'the wider spread of both times counts');
  assert.deepEqual(worse(result, slower('mfu', 0.8)), ['mfu']);
  assert.deepEqual(worse(result, slower('generateTokensPerSecond', 3)), [], 'faster is not worse');
});

test('more memory is worse, less is not', () => {
  assert.deepEqual(worse(result, { ...result, workspaceBytes: 18.6e6 }), []);
  assert.deepEqual(worse(result, { ...result, workspaceBytes: 18.8e6 }), ['workspaceBytes']);
  assert.deepEqual(worse(result, { ...result, workspaceBytes: 1 }), []);
});

test('only the same case is compared', () => {
  for (const other of [{ threads: 1 }, { backend: 'gpujs' }, { preset: 'small' }, { reproducible: true }]) {
    assert.deepEqual(compare([{ ...result, ...other } as BenchResult], [result]), []);
  }
  assert.equal(compare([result], [result, { ...result, threads: 1 }]).length, 5);
});

test('what is printed names the case, the figures and what fell', () => {
  const text = tell(result);
  for (const part of [
    'nano on cpu, 2 threads (wasm-simd+native, a processor)',
    '10,000 ± 200 tokens/s',
    '51.0 ± 1.0 of 100.0 ± 4.0 GFLOP/s, MFU 51% ± 1%',
    '500 ± 5 tokens/s',
    '17.0 MB a thread, 200 MB in all',
  ]) {
    assert.ok(text.includes(part), `${part} is not in\n${text}`);
  }
  const [first] = compare([result], [slower('tokensPerSecond', 0.5)]);
  assert.equal(tellComparison(first), 'worse nano on cpu, 2 threads: tokensPerSecond 10000 → 5000, × 0.50');
});

test('saved results are read whole or refused', (context) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'bench-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const file = path.join(folder, 'b.json');
  const saved = (value: unknown) => {
    writeFileSync(file, typeof value === 'string' ? value : JSON.stringify(value));
    return readResults(file);
  };
  assert.deepEqual(saved({ node: '20', results: [result] }), [result]);
  const refused: readonly [unknown, RegExp][] = [
    ['{', /--compare .*b\.json is not JSON/],
    ['[]', /holds \[\], but must hold a JSON object/],
    [{}, /holds no results/],
    [{ results: [{ ...result, tokensPerSecond: 5 }] }, /has a result that is not whole/],
    [{ results: [null] }, /has a result that is not whole, null/],
    [{ results: [{ ...result, preset: 'toString' }] }, /not whole/],
    [{ results: [{ ...result, mfu: { median: -1, spread: 0 } }] }, /not whole/],
  ];
  for (const [value, sentence] of refused) {
    assert.throws(
      () => saved(value),
      (error) => error instanceof UserError && sentence.test(error.message),
      JSON.stringify(value),
    );
  }
  assert.throws(() => readResults(path.join(folder, 'none.json')), /cannot be read \(no such file\)/);
});
