import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

/* How a worker is given its secret. */

const main = fileURLToPath(new URL('../main.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'manyhands-join-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const posix = process.platform !== 'win32';

/** A worker process; its standard error and how it ended. */
async function worker(args: readonly string[], environment: Record<string, string> = {}) {
  const { MANYHANDS_JOIN: _, ...env } = process.env;
  const child = spawn(process.execPath, [main, 'worker', ...args], {
    env: { ...env, ...environment },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  const [code] = await once(child, 'close');
  return { code, stderr };
}

function file(name: string, text: string, mode = 0o600): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

test('a join file that other users can read is refused', { skip: !posix }, async () => {
  const path = file('open', 'manyhands://127.0.0.1:1?token=geheim\n', 0o644);
  const { code, stderr } = await worker(['--join-file', path]);
  assert.equal(code, 2, stderr);
  assert.match(stderr, /--join-file: .*other users.*chmod 600/);
  assert.ok(!stderr.includes('geheim'));
});

for (const [name, args, complaint] of [
  ['nothing', [], /--join is missing.*--join-file or MANYHANDS_JOIN/],
  ['a file that is not there', ['--join-file', join(folder, 'none')], /none does not exist/],
  ['an empty file', ['--join-file', file('empty', '\n')], /is empty/],
  [
    'a file without a join line',
    ['--join-file', file('noise', 'token=geheim')],
    /cannot be read: expected manyhands/,
  ],
  ['both', ['--join', 'x', '--join-file', file('some', 'x')], /both given/],
] as const) {
  test(`${name} in place of a join line is refused in words`, async () => {
    const { code, stderr } = await worker(args);
    assert.equal(code, 2, stderr);
    assert.match(stderr, complaint);
    assert.ok(!stderr.includes('geheim'));
  });
}

test('the join line of a file, of the environment and of the command line are dialled, and none shows the token', async () => {
  const server = createServer((socket) => socket.destroy().on('error', () => {}));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const line = `manyhands://127.0.0.1:${port}?token=geheim`;
  const ways: readonly [args: string[], environment: Record<string, string>][] = [
    [['--join-file', file('join-url', `${line}\n`)], {}],
    [[], { MANYHANDS_JOIN: line }],
    [['--join', line], {}],
  ];
  for (const [args, environment] of ways) {
    const dialled = once(server, 'connection');
    const { MANYHANDS_JOIN: _, ...env } = process.env;
    const child = spawn(process.execPath, [main, 'worker', '--threads', '1', ...args], {
      env: { ...env, ...environment },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text;
    });
    const ended = once(child, 'close');
    await dialled;
    if (process.platform === 'linux') {
      const title = readFileSync(`/proc/${child.pid}/cmdline`, 'utf8');
      assert.ok(title.length > 0 && !title.includes('geheim'), title);
    }
    child.kill('SIGKILL');
    await ended;
    assert.ok(!stderr.includes('geheim'), stderr);
  }
  server.close();
});

test('with --log-format json everything that a worker says is JSON, also why it fails', async () => {
  const server = createServer((socket) => socket.end('no HTTP/2').on('error', () => {}));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const line = `manyhands://127.0.0.1:${port}?token=geheim&ca=${'a'.repeat(64)}`;
  const json = ['--log-format', 'json'];
  for (const [args, status, complaint] of [
    [[...json, '--join', line], 2, /does not speak TLS 1\.3/],
    [json, 2, /--join is missing/],
    [['--threads', 'many', '--log-format=json'], 2, /--threads is "many"/],
    [[...json, '--depth', '3'], 2, /unknown option '--depth'/],
  ] as const) {
    const { code, stderr } = await worker(args);
    assert.equal(code, status, stderr);
    const said = stderr
      .trim()
      .split('\n')
      .map((text) => JSON.parse(text));
    const { level, event, command, msg } = said.at(-1);
    assert.deepEqual({ level, event, command }, { level: 'error', event: 'error', command: 'worker' });
    assert.match(msg, complaint);
    assert.ok(!stderr.includes('geheim'), stderr);
  }
  server.close();
});
