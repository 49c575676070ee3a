import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { manyhands } from './command-line.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const read = (file: string) => readFileSync(path.join(root, file), 'utf8');
const text = read('docs/learning.md');
const helps = new Map<string, string>();

test('every file that docs/learning.md names is there', () => {
  const files = [...text.matchAll(/`((?:apps|libs|proto|test)\/[^`]+)`/g)].map(([, file]) => file);
  assert.ok(files.length > 20);
  assert.deepEqual(
    files.filter((file) => !existsSync(path.join(root, file))),
    [],
  );
});

for (const [file, fewest] of [
  ['docs/learning.md', 10],
  ['examples/checkers/README.md', 9],
  ['examples/distribution/README.md', 7],
] as const) {
  test(`every command of ${file} has the options that it gives`, async () => {
    const commands = [...read(file).matchAll(/^ *npx manyhands (.*)$/gm)].map(([, line]) => line);
    assert.ok(commands.length >= fewest, `${commands.length} commands`);
    for (const line of commands) {
      // Without another word, checkers is played.
      const name = line.split(/ (?=--)| runs/)[0].replace(/^checkers$/, 'checkers play');
      const help = helps.get(name) ?? (await manyhands([...name.split(' '), '--help'])).stdout;
      helps.set(name, help);
      for (const [option] of line.matchAll(/--[a-z-]+/g))
        assert.match(help, new RegExp(`${option}\\b`), line);
    }
  });
}
