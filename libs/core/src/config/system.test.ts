import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { makeOutputFolder } from './index.js';

function folder(context: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'manyhands-output-'));
  context.after(() => rmSync(dir, { recursive: true }));
  return dir;
}

function refusal(path: string): unknown {
  try {
    makeOutputFolder(path);
    return null;
  } catch (error) {
    return error instanceof Error && error.name === 'UserError' ? error.message : error;
  }
}

test('an output folder is made with those above it, and one that is there is fine', (t) => {
  const path = join(folder(t), 'a', 'b');
  assert.deepEqual([refusal(path), refusal(path)], [null, null]);
  assert.ok(existsSync(path));
});

test('a file in its place or above it is told', (t) => {
  const file = join(folder(t), 'file');
  writeFileSync(file, '');
  const sentence = (path: string, cause: string) =>
    `The folder ${path} cannot be made, since ${cause}: choose another output folder.`;
  assert.equal(refusal(file), sentence(file, 'there is a file of that name (EEXIST)'));
  const below = join(file, 'below', 'deep');
  assert.equal(refusal(below), sentence(below, 'a part of the path is not a folder (ENOTDIR)'));
});

test('a folder that takes no other is told with the system\u2019s reason', {
  skip: process.platform === 'win32' && 'its rights are others',
}, (t) => {
  const closed = folder(t);
  chmodSync(closed, 0o555);
  const root = process.getuid?.() === 0; // whom no right keeps out
  if (root) process.seteuid?.(65534);
  try {
    assert.match(
      String(refusal(join(closed, 'deep', 'run'))),
      /since permission is denied \(EACCES\): choose/,
    );
  } finally {
    if (root) process.seteuid?.(0);
  }
});

test('a read-only file system is told as such, though mkdir only says that the folder is missing', (t) => {
  const place = folder(t);
  const code = `
    import { makeOutputFolder } from ${JSON.stringify(import.meta.resolve('./index.js'))};
    try { makeOutputFolder(${JSON.stringify(join(place, 'deep', 'run'))}); }
    catch (error) { process.stdout.write(error.name + ': ' + error.message); }`;
  // In namespaces of its own, where an ordinary user may mount.
  const mount = `mount -t tmpfs -o ro none '${place}' && exec "$@"`;
  const inside = (...command: string[]) =>
    spawnSync('unshare', ['-rm', 'sh', '-c', mount, 'sh', ...command], { encoding: 'utf8' });
  if (inside('true').status !== 0) return t.skip('this system lets nobody mount here');
  const { status, stdout } = inside(process.execPath, '--input-type=module', '-e', code);
  assert.equal(status, 0);
  assert.match(
    stdout,
    /^UserError: .* since the file system is read-only \(EROFS\): choose another output folder\.$/,
  );
});

test('a place that takes no folders at all is refused at once', {
  skip: !existsSync('/proc/self') && 'there is no /proc here',
}, () => {
  assert.match(String(refusal('/proc/manyhands/run')), /cannot be made, since the folder above it/);
});
