import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

/* How far a join line goes, as far as the command line decides it. */

const main = fileURLToPath(new URL('../main.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'manyhands-coordinator-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const config = join(folder, 'run.yaml');
writeFileSync(config, 'run: {steps: 1}\n');

function coordinator(args: readonly string[]): Promise<{ code: unknown; stderr: string }> {
  const all = [main, 'coordinator', '--config', config, '--out', join(folder, 'run'), ...args];
  return new Promise((resolve) => {
    execFile(process.execPath, all, (error, _, stderr) => resolve({ code: error?.code ?? 0, stderr }));
  });
}

for (const text of ['10', '0s', '5 weeks', '-1h', 'h', '']) {
  test(`--token-ttl ${JSON.stringify(text)} is refused in words`, async () => {
    const { code, stderr } = await coordinator(['--token-ttl', text]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, /--token-ttl is ".*", but must be a time above 0 such as 90s, 30m, 1\.5h or 2d/);
  });
}

for (const limit of [
  ['--token-ttl', '1.5h'],
  ['--max-joins', '3'],
]) {
  for (const where of [
    ['--listen', '127.0.0.1:0'],
    ['--listen', '10.0.0.1:0', '--insecure'],
  ]) {
    test(`${limit[0]} is refused in plain text, ${where.join(' ')}`, async () => {
      const { code, stderr } = await coordinator([...limit, ...where]);
      assert.equal(code, 2, stderr);
      assert.match(stderr, /--token-ttl and --max-joins need TLS/);
    });
  }
}
