import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from './command-line.js';

const example = fileURLToPath(new URL('../../../examples/distribution', import.meta.url));

function run(script: string, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [path.join(example, script), ...args], {
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

function textsOf(folder: string, split: string): Map<string, string[]> {
  const files = readdirSync(path.join(folder, split)).sort();
  return new Map(
    files.map((file) => {
      const lines = readFileSync(path.join(folder, split, file), 'utf8')
        .trim()
        .split('\n');
      return [path.basename(file, '.jsonl'), lines.map((line) => JSON.parse(line).text)];
    }),
  );
}

test('the kinds of text are those that a clone has, parted so that what is tested was not trained on', (context) => {
  const folder = temporaryFolder(context);
  const gathered = run('gather.mjs', folder);
  assert.equal(gathered.status, 0, gathered.stderr);
  const [train, tested] = [textsOf(folder, 'train'), textsOf(folder, 'test')];
  assert.deepEqual([...train.keys()], ['declarations', 'novel', 'readmes', 'speeches']);
  assert.deepEqual([...tested.keys()], ['declarations', 'licences', 'novel', 'readmes', 'speeches']);
  const learned = [...train.values()].flat();
  for (const [kind, texts] of tested) {
    assert.ok(texts.length >= 8, `${texts.length} texts of ${kind}: too few for a standard error`);
    for (const text of texts) assert.ok(!learned.some((other) => other.includes(text)), `${kind}: ${text}`);
  }
  for (const [kind, texts] of train) {
    const characters = texts.reduce((sum, text) => sum + text.length, 0);
    assert.ok(characters > 600_000 && characters <= 800_000, `${characters} characters of ${kind}`);
  }
  assert.equal(run('gather.mjs').status, 2);
});

test('the table has a row for each model, a column for each kind, and marks the lowest of a column', (context) => {
  const folder = temporaryFolder(context);
  const file = (name: string, novel: number, licences: number) => {
    const score = (bitsPerByte: number) => ({ bitsPerByte, loss: bitsPerByte * 2, standardError: 0.08 });
    const sources = { 'test/novel.jsonl': score(novel), 'test/licences.jsonl': score(licences) };
    writeFileSync(path.join(folder, `${name}.json`), JSON.stringify({ sources }));
    return path.join(folder, `${name}.json`);
  };
  const { stdout } = run('table.mjs', file('all', 2.5, 3), file('novel', 2.25, 4));
  assert.deepEqual(stdout.trim().split('\n'), [
    '| trained on | novel | licences |',
    '| --- | ---: | ---: |',
    '| all | 2.50 ± 0.04 | **3.00** ± 0.04 |',
    '| novel | **2.25** ± 0.04 | 4.00 ± 0.04 |',
  ]);
  assert.equal(run('table.mjs').status, 2);
});
