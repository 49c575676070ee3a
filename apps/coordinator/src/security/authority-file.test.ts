import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { UserError } from '@manyhands/core/config';
import { openAuthority } from './authority-file.js';

const root = mkdtempSync(join(tmpdir(), 'manyhands-authority-'));
after(() => rmSync(root, { recursive: true, force: true }));
const newRun = () => mkdtempSync(join(root, 'run-'));
const posix = process.platform !== 'win32';

test('a run makes its authority once and keeps it for its owner’s eyes only', async () => {
  const out = newRun();
  const made = await openAuthority(out);
  if (posix) assert.equal(statSync(join(out, 'ca.pem')).mode & 0o777, 0o600);
  assert.equal((await openAuthority(out)).fingerprint, made.fingerprint);
  assert.notEqual((await openAuthority(newRun())).fingerprint, made.fingerprint);
});

for (const [name, harm] of [
  ['is empty', () => ''],
  ['is cut off', (text: string) => text.slice(0, 400)],
  ['has lost its key', (text: string) => text.split('-----BEGIN PRIVATE')[0]],
  ['is something else', () => 'no certificate'],
] as const) {
  test(`an authority that ${name} stops the start, and is not replaced`, async () => {
    const out = newRun();
    const file = join(out, 'ca.pem');
    await openAuthority(out);
    const harmed = harm(readFileSync(file, 'utf8'));
    writeFileSync(file, harmed);
    await assert.rejects(
      openAuthority(out),
      (error) => error instanceof UserError && /ca\.pem holds no authority.*delete it/.test(error.message),
    );
    assert.equal(readFileSync(file, 'utf8'), harmed);
  });
}

test('a key that others may have read stops the start', { skip: !posix }, async () => {
  const out = newRun();
  await openAuthority(out);
  chmodSync(join(out, 'ca.pem'), 0o640);
  await assert.rejects(openAuthority(out), /other users/);
});
