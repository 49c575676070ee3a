import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  watch,
  writeFileSync,
} from 'node:fs';
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

/** The lock of this very process on a machine of that name, written so many seconds ago. */
function lockOf(host: string, ago: number): { directory: string; path: string } {
  const directory = mkdtempSync(join(folder, 'run-'));
  const path = join(directory, 'run.lock');
  writeFileSync(path, `${JSON.stringify({ pid: process.pid, host, processStart: null, since: 'today' })}\n`);
  const then = Date.now() / 1000 - ago;
  utimesSync(path, then, then);
  return { directory, path };
}

test('a lock of another machine keeps others out as long as it beats', () => {
  const { directory, path } = lockOf('elsewhere', 100);
  assert.throws(() => lockDirectory(directory), {
    name: 'UserError',
    message: /process \d+ on elsewhere since today, heard of 10\d s ago, and gone after 120 s without/,
  });
  assert.deepEqual(readdirSync(directory), ['run.lock'], 'nothing is left of the try');
  const then = Date.now() / 1000 - 130;
  utimesSync(path, then, then);
  const lock = lockDirectory(directory);
  assert.deepEqual(readdirSync(directory), ['run.lock.1']);
  lock.release();
  assert.deepEqual(readdirSync(directory), []);
});

test('a lock of this machine is its process’s, however old it is', () => {
  const { directory } = lockOf(hostname(), 1e6);
  assert.throws(() => lockDirectory(directory), { message: /in use by another coordinator/ });
});

test('a lock is written again and again, and its owner learns that it is another’s', {
  timeout: 10_000,
}, async (context) => {
  const awake = setInterval(() => {}, 1000); // beats keep no process alive
  context.after(() => clearInterval(awake));
  const directory = mkdtempSync(join(folder, 'run-'));
  const path = join(directory, 'run.lock');
  const lock = lockDirectory(directory, 20);
  const text = readFileSync(path, 'utf8');
  utimesSync(path, 1, 1);
  const watcher = watch(directory);
  while (statSync(path).mtimeMs < 1e6) await once(watcher, 'change');
  watcher.close();
  assert.equal(readFileSync(path, 'utf8'), text);
  rmSync(path);
  writeFileSync(join(directory, 'run.lock.1'), staleLock());
  assert.match((await lock.lost).message, /belongs to another coordinator now/);
  lock.release();
  assert.deepEqual(readdirSync(directory), ['run.lock.1'], 'it does not touch what is not its own');
});
