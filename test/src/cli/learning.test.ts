import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { manyhands } from './command-line.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const text = readFileSync(path.join(root, 'docs/learning.md'), 'utf8');

test('every file that docs/learning.md names is there', () => {
  const files = [...text.matchAll(/`((?:apps|libs|proto|test)\/[^`]+)`/g)].map(([, file]) => file);
  assert.ok(files.length > 20);
  assert.deepEqual(
    files.filter((file) => !existsSync(path.join(root, file))),
    [],
  );
});

test('every command of docs/learning.md has the options that it gives', async () => {
  const commands = [...text.matchAll(/^npx manyhands (.*)$/gm)].map(([, line]) => line);
  assert.ok(commands.length >= 10);
  const helps = new Map<string, string>();
  for (const line of commands) {
    const name = line.split(/ (?=--)| runs/)[0];
    const help = helps.get(name) ?? (await manyhands([...name.split(' '), '--help'])).stdout;
    helps.set(name, help);
    for (const [option] of line.matchAll(/--[a-z-]+/g)) assert.match(help, new RegExp(`${option}\\b`), line);
  }
});
