import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { test } from 'node:test';
import { main, manyhands, parity } from './command-line.js';

const gpt2 = path.join(parity, 'gpt2-tiny');
const text = 'To be, or not to be: that is the question. «Ünïcödé», 東京 🚀\n';

test('encode and decode are each other’s inverse, through arguments and through pipes', async () => {
  const encoded = await manyhands(['tokenizer', 'encode', '--tokenizer', 'r50k_base', '--json'], {
    input: text,
  });
  assert.equal(encoded.status, 0, encoded.stderr);
  const { ids } = JSON.parse(encoded.stdout);
  assert.ok(Array.isArray(ids) && ids.length > 10);
  const decoded = await manyhands(['tokenizer', 'decode', '--tokenizer', 'r50k_base'], {
    input: encoded.stdout,
  });
  assert.equal(decoded.stdout, `${text}\n`);
  const named = await manyhands([
    'tokenizer',
    'decode',
    '--tokenizer',
    'r50k_base',
    '--json',
    ...ids.map(String),
  ]);
  assert.deepEqual(JSON.parse(named.stdout), { text });
});

test('standard input that is no text is refused', async () => {
  const args = ['tokenizer', 'encode', '--tokenizer', 'r50k_base'];
  const { status, stderr } = await manyhands(args, { input: Uint8Array.from([0xff, 0xfe, 0x80]) });
  assert.equal(status, 2);
  assert.match(stderr, /standard input is not text/);
});

for (const args of [
  ['inspect', gpt2, '--json'],
  ['doctor', '--json'],
  ['explain', '--model', gpt2, '--batch', path.join(gpt2, 'batch.json'), '--json'],
]) {
  test(`\`${args[0]} --json\` prints one JSON object and nothing else on standard output`, async () => {
    const { status, stdout, stderr } = await manyhands(args);
    assert.equal(status, 0, stderr);
    assert.equal(stderr, '', 'no native library complains');
    const lines = stdout.split('\n');
    assert.deepEqual(lines.slice(1), ['']);
    const value: unknown = JSON.parse(lines[0]);
    assert.ok(typeof value === 'object' && value !== null && !Array.isArray(value));
  });
}

test('inspect names the hash of the weights, the same in words and in JSON', async () => {
  const json = JSON.parse((await manyhands(['inspect', gpt2, '--json'])).stdout);
  assert.equal(json.parameters, 29568);
  assert.match(json.weightsSha256, /^[0-9a-f]{64}$/);
  const words = await manyhands(['inspect', gpt2]);
  assert.ok(words.stdout.includes(json.weightsSha256));
  assert.ok(words.stdout.includes('29,568'));
});

test('no escape sequence reaches a pipe', async () => {
  const story = await manyhands(['explain', '--model', gpt2, '--batch', path.join(gpt2, 'batch.json')]);
  assert.equal(story.status, 0, story.stderr);
  const failure = await manyhands(['inspect', 'nowhere']);
  for (const output of [story.stdout, story.stderr, failure.stderr]) assert.ok(!output.includes('\x1b'));
});

test('a reader that goes away ends the command in silence', async () => {
  const child = spawn(process.execPath, [main, 'tokenizer', 'decode', '--tokenizer', 'r50k_base'], {
    stdio: 'pipe',
  });
  let stderr = '';
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  child.stdout.destroy();
  child.stdin.on('error', () => {});
  child.stdin.end('464 '.repeat(200_000));
  const [status] = await once(child, 'close');
  assert.equal(stderr, '');
  assert.equal(status, 0);
});
