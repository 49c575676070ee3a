import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type PrepareEvent, type PrepareOptions, prepare } from './prepare.js';
import { byteEncoder, folder, pieceEncoder, prose } from './testing.js';

type Options = Omit<PrepareOptions, 'report' | 'signal'>;
type Message = { event: PrepareEvent } | { peak: number };

/** Prepares in a process of its own, which tells each event and, at the end, its peak memory in bytes. */
function prepareElsewhere(options: Options): ChildProcess {
  const script = `
    import { prepare } from ${JSON.stringify(new URL('./prepare.js', import.meta.url).href)};
    await prepare({ ...${JSON.stringify(options)}, report: (event) => process.send({ event }) });
    process.send({ peak: process.resourceUsage().maxRSS * 1024 });
    process.disconnect();`;
  const stdio = ['ignore', 'inherit', 'inherit', 'ipc'] as const;
  return spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: [...stdio] });
}

function textFile(path: string, bytes: number): string {
  const block = Buffer.from(`${prose(1 << 20)} `);
  const file = openSync(path, 'w');
  for (let size = 0; size < bytes; size += block.length) writeSync(file, block);
  closeSync(file);
  return path;
}

function options(path: string, out: string, more: Partial<Options> = {}): Options {
  return { sources: [{ path, weight: 1 }], encoder: pieceEncoder, out, validation: 0.1, ...more };
}

test('200 MB of text are prepared in less than 500 MB of memory, however many threads', async (t) => {
  const dir = folder(t);
  const file = textFile(join(dir, 'long.txt'), 200e6);
  const child = prepareElsewhere(options(file, join(dir, 'out'), { threads: 2, encoder: byteEncoder }));
  let peak = 0;
  child.on('message', (message: Message) => {
    if ('peak' in message) peak = message.peak;
  });
  const [code] = await once(child, 'exit');
  assert.equal(code, 0);
  assert.ok(peak > 10e6 && peak < 500e6, `peak memory: ${Math.round(peak / 1e6)} MB`);
});

test('killed without warning and started again, it keeps what was whole and ends in the same folder', async (t) => {
  const dir = folder(t);
  const file = textFile(join(dir, 'a.txt'), 6e6);
  const small = { threads: 2, blockBytes: 50_000, shardTokens: 100_000 };
  const out = join(dir, 'out');
  const child = prepareElsewhere(options(file, out, small));
  let shards = 0;
  child.on('message', (message: Message) => {
    if ('event' in message && message.event.kind === 'shard' && ++shards === 3) child.kill('SIGKILL');
  });
  const [, signal] = await once(child, 'exit');
  assert.equal(signal, 'SIGKILL');
  assert.ok(!readdirSync(out).includes('manifest.json'));
  const kept: string[] = [];
  const report = (event: PrepareEvent) => event.kind === 'shard' && event.kept && kept.push(event.file);
  const again = await prepare({ ...options(file, out, small), report });
  assert.ok(kept.length >= 3);
  const whole = join(dir, 'whole');
  assert.deepEqual(await prepare(options(file, whole, { ...small, threads: 1 })), again);
  const names = readdirSync(whole).sort();
  assert.deepEqual(readdirSync(out).sort(), names);
  for (const name of names)
    assert.ok(readFileSync(join(out, name)).equals(readFileSync(join(whole, name))), name);
});
