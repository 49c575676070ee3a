import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { readPrivateFile, writePrivateFile } from './private-file.js';

const folder = mkdtempSync(join(tmpdir(), 'manyhands-private-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const skip = process.platform === 'win32' && 'Windows keeps rights elsewhere';

test('what was written is read back, for the owner’s eyes only, and nothing else is left behind', {
  skip,
}, () => {
  const file = join(folder, 'secret');
  for (const text of ['one', 'another']) {
    writePrivateFile(file, text);
    assert.equal(readPrivateFile(file), text);
  }
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(folder), ['secret']);
});

test('there is nothing to read where there is no file', () => {
  assert.equal(readPrivateFile(join(folder, 'none')), null);
});

for (const mode of [0o640, 0o604, 0o620, 0o602, 0o644]) {
  test(`a file of mode ${mode.toString(8)} is refused, and its text not told`, { skip }, () => {
    const file = join(folder, `open-${mode}`);
    writeFileSync(file, 'geheim');
    chmodSync(file, mode);
    assert.throws(
      () => readPrivateFile(file),
      (error: Error) => /other users/.test(error.message) && !error.message.includes('geheim'),
    );
  });
}

test('a folder, and a file without end, are refused', { skip }, () => {
  const inside = join(folder, 'folder');
  mkdirSync(inside, { mode: 0o700 });
  assert.throws(() => readPrivateFile(inside), /cannot be read/);
  assert.throws(() => writePrivateFile(join(folder, 'none', 'x'), ''), /cannot be written/);
  const large = join(folder, 'large');
  writePrivateFile(large, 'x'.repeat(70_000));
  assert.throws(() => readPrivateFile(large), /larger than any secret: 70000 bytes/);
});
