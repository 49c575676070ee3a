import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { lockDirectory } from './lock.js';

const folder = mkdtempSync(join(tmpdir(), 'lock-'));
after(() => rmSync(folder, { recursive: true }));

const crashPoint = new URL('crash-point.js', import.meta.url).href;
const script = new URL('lock.js', import.meta.url).href;

/** A process that takes the lock and dies at one of its operations; false where it has not so many. */
function diesWhileLocking(directory: string, at: string): boolean {
  const code = `const { lockDirectory } = await import(${JSON.stringify(script)}); lockDirectory(${JSON.stringify(directory)});`;
  const args = ['--import', crashPoint, '--input-type=module', '-e', code];
  const env = { ...process.env, MANYHANDS_CRASH: at };
  const { signal, status, stderr } = spawnSync(process.execPath, args, { env, encoding: 'utf8' });
  assert.ok(signal === 'SIGKILL' || status === 0, stderr);
  return signal === 'SIGKILL';
}

/** The lock of a process that is no more. */
function staleLock(): string {
  const { pid } = spawnSync(process.execPath, ['-e', '']);
  return `${JSON.stringify({ pid, host: hostname(), processStart: null, since: '2026-01-01' })}\n`;
}

for (const [where, stale] of [
  ['a free directory', null],
  ['one whose owner died', staleLock()],
] as const) {
  test(`who dies at any operation of locking ${where} keeps nobody out`, () => {
    let operation = 1;
    for (; ; operation++) {
      const directory = mkdtempSync(join(folder, 'run-'));
      if (stale !== null) writeFileSync(join(directory, 'run.lock'), stale);
      // In the middle of a write, and after anything else.
      if (!diesWhileLocking(directory, `amid:${operation}`)) break;
      const lock = lockDirectory(directory);
      assert.throws(() => lockDirectory(directory), { name: 'UserError', message: /in use by another/ });
      lock.release();
      assert.deepEqual(readdirSync(directory), [], `what lies there after operation ${operation}`);
    }
    assert.ok(operation > 5, `only ${operation - 1} operations`);
  });
}

test('a lock of a later generation keeps others out, whatever died before it', () => {
  const directory = mkdtempSync(join(folder, 'run-'));
  writeFileSync(join(directory, 'run.lock'), staleLock());
  writeFileSync(join(directory, 'run.lock.7'), staleLock());
  const lock = lockDirectory(directory);
  assert.deepEqual(readdirSync(directory), ['run.lock.8']);
  assert.throws(() => lockDirectory(directory), { message: /process \d+ on .*run\.lock\.8 if it no longer/ });
  lock.release();
  assert.deepEqual(readdirSync(directory), []);
});

test('a lock that cannot be read is somebody’s', () => {
  const directory = mkdtempSync(join(folder, 'run-'));
  writeFileSync(join(directory, 'run.lock'), staleLock());
  writeFileSync(join(directory, 'run.lock.1'), '');
  assert.throws(() => lockDirectory(directory), {
    name: 'UserError',
    message: /an unknown process.*run\.lock\.1/,
  });
  assert.equal(readFileSync(join(directory, 'run.lock.1'), 'utf8'), '');
});
