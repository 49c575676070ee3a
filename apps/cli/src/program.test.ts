import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('./main.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'manyhands-program-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** The files that a command line loads: those that a coverage report knows of. */
function loadedBy(...args: readonly string[]): { stdout: string; files: string[] } {
  const reports = mkdtempSync(join(folder, 'reports-'));
  const env = { ...process.env, NODE_V8_COVERAGE: reports };
  const { stdout, stderr } = spawnSync(process.execPath, [main, ...args], { env, encoding: 'utf8' });
  assert.equal(stderr, '');
  const files = readdirSync(reports).flatMap((name) => {
    const { result }: { result: { url: string }[] } = JSON.parse(readFileSync(join(reports, name), 'utf8'));
    return result.map(({ url }) => url);
  });
  return { stdout, files };
}

test('a command loads what it needs, and no other command: a worker joins sooner', () => {
  const { stdout, files } = loadedBy('worker', '--help');
  assert.match(stdout, /^Usage: manyhands worker/);
  assert.ok(
    files.some((file) => file.includes('/apps/worker/dist/')),
    'the report sees what is loaded',
  );
  const commands = files.flatMap((file) => /commands\/(\w+)\.js$/.exec(file)?.[1] ?? []);
  assert.deepEqual(commands.sort(), ['shared', 'worker']);
  assert.deepEqual(
    files.filter((file) => file.includes('/apps/coordinator/')),
    [],
  );
});

test('without a command all of them are shown, in their order', () => {
  const { stdout } = loadedBy('--help');
  const listed = [...stdout.matchAll(/^ {2}(\w+) .*\[options\]|^ {2}(tokenizer|data|checkers) /gm)];
  const names = listed.map(([, name, group]) => name ?? group);
  assert.deepEqual(names, [
    ...['train', 'coordinator', 'worker', 'generate', 'eval', 'explain', 'tokenizer', 'data'],
    ...['checkers', 'inspect', 'bench', 'doctor'],
  ]);
});
