import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { loadModel, saveCheckpoint } from './index.js';
import { lockDirectory } from './lock.js';
import { stateFromJson } from './state.js';
import { contentOf, model } from './test-content.js';

const folder = mkdtempSync(join(tmpdir(), 'hostile-'));
after(() => rmSync(folder, { recursive: true }));

const owner = { pid: 2 ** 22 + 1, host: hostname(), processStart: null, since: '2026-01-01' };

test('a lock whose owner has no end, or control characters, is that of an unknown process', () => {
  for (const strange of [{ host: 'x'.repeat(5000) }, { host: 'a\u001b[2Jb' }, { since: '\u202e\n' }]) {
    const directory = mkdtempSync(join(folder, 'run-'));
    writeFileSync(join(directory, 'run.lock'), JSON.stringify({ ...owner, ...strange }));
    assert.throws(() => lockDirectory(directory), { name: 'UserError', message: /\(an unknown process\)/ });
  }
  const directory = mkdtempSync(join(folder, 'run-'));
  writeFileSync(join(directory, 'run.lock'), JSON.stringify({ ...owner, host: 'élan-7.example' }));
  assert.throws(() => lockDirectory(directory), { message: /process 4194305 on élan-7\.example since 2026/ });
});

test('a state whose hash is right but which is none is refused in plain words', () => {
  const reasonOf = (body: string) => {
    const sha256 = createHash('sha256').update(body).digest('hex');
    const state = stateFromJson(`${body},\n  "sha256": "${sha256}"\n}\n`);
    return 'reason' in state ? state.reason : assert.fail('it was read');
  };
  assert.match(reasonOf('{\n  "seed": 1'), /of this version: step: .*, but it is missing$/);
  assert.match(reasonOf(`{\n  "${'x'.repeat(5000)}\\u001b": 1`), /^[^\p{Cc}]{1,400}$/u);
});

test('no memory is taken for a model that config.json claims and the file does not hold', async () => {
  const directory = mkdtempSync(join(folder, 'run-'));
  const { path } = await saveCheckpoint(directory, contentOf(1), { keepLast: 1 });
  const config = JSON.parse(readFileSync(join(path, 'config.json'), 'utf8'));
  writeFileSync(join(path, 'config.json'), JSON.stringify({ ...config, vocab_size: 2 ** 24 }));
  const before = process.memoryUsage().arrayBuffers;
  assert.throws(() => loadModel(path), {
    name: 'UserError',
    message: /but config\.json makes it \[16777216,4\]/,
  });
  const taken = process.memoryUsage().arrayBuffers - before;
  assert.ok(taken < 2 ** 20, `${taken} bytes were taken for a file of ${model.size} values`);
});
