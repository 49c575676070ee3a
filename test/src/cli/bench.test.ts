import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { manyhands, temporaryFolder } from './command-line.js';

test('bench measures each thread count, and --compare tells what became worse', async (context) => {
  const folder = temporaryFolder(context);
  const { status, stdout, stderr } = await manyhands(['bench', '--quick', '--threads', '1,2', '--json']);
  assert.equal(status, 0, stderr);
  const { results } = JSON.parse(stdout);
  const cases = results.map(({ backend, threads }: { backend: string; threads: number }) => [
    backend,
    threads,
  ]);
  assert.deepEqual(cases, [
    ['cpu', 1],
    ['cpu', 2],
  ]);
  for (const { tokensPerSecond, mfu, generateTokensPerSecond, workspaceBytes, residentBytes } of results) {
    for (const { median, spread } of [tokensPerSecond, mfu, generateTokensPerSecond]) {
      assert.ok(median > 0 && spread >= 0, `${median} ± ${spread}`);
    }
    assert.ok(
      residentBytes > workspaceBytes && workspaceBytes > 1e6,
      `${workspaceBytes} of ${residentBytes}`,
    );
  }

  const [one] = results;
  const impossible = { ...one, tokensPerSecond: { median: 1e12, spread: 0 } };
  const file = path.join(folder, 'before.json');
  writeFileSync(file, JSON.stringify({ results: [impossible] }));
  const compared = await manyhands(['bench', '--quick', '--threads', '1', '--compare', file]);
  assert.equal(compared.status, 1, compared.stderr);
  assert.match(
    compared.stdout,
    /^worse nano on cpu, 1 thread: tokensPerSecond 1000000000000 → \d+, × 0\.00$/m,
  );

  writeFileSync(file, JSON.stringify({ results: [{ ...one, preset: 'small' }] }));
  const other = await manyhands(['bench', '--quick', '--threads', '1', '--compare', file]);
  assert.equal(other.status, 2);
  assert.match(other.stderr, /has nothing of what was measured: nano on cpu, 1 thread\./);
});
