import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { all, files, infra, read, readYaml, root, without } from './files.js';

const scripts = files.filter((file) => /\.(sh|sbatch)$/.test(file));
const file = (name: string) => path.join(infra, name);

function temporary(context: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'manyhands-infra-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test('every script is found', () => {
  assert.ok(scripts.includes('run-or-resume.sh') && scripts.includes('slurm/train.sbatch'));
});

for (const script of scripts) {
  test(`${script} can be called, and bash can read it`, () => {
    assert.ok((statSync(file(script)).mode & 0o111) !== 0);
    const { status, stderr } = spawnSync('bash', ['-n', file(script)], { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
  });
  test(`${script} passes shellcheck`, { skip: without('shellcheck', '--version') }, () => {
    const { status, stdout } = spawnSync('shellcheck', ['--shell=bash', file(script)], { encoding: 'utf8' });
    assert.equal(status, 0, stdout);
  });
}

/** A coordinator that says its join line, its arguments on standard error, and, when asked to end, its last words. */
const STANDIN = `#!/usr/bin/env bash
echo "manyhands worker --join 'manyhands://127.0.0.1:7070?token=s3cret&ca=12'"
echo "$*" >&2
trap 'echo "stopped: step 7"; exit 130' TERM
if [ -n "\${STANDIN_STATUS:-}" ]; then echo 'done: step 9'; exit "$STANDIN_STATUS"; fi
echo waiting >&2
while :; do sleep 0.1; done
`;

function runOrResume(context: TestContext, env: NodeJS.ProcessEnv = {}) {
  const folder = temporary(context);
  const standin = path.join(folder, 'standin.sh');
  writeFileSync(standin, STANDIN, { mode: 0o755 });
  const join = path.join(folder, 'join');
  const start = () => {
    const child = spawn(
      file('run-or-resume.sh'),
      ['run.yaml', path.join(folder, 'run'), join, '--listen', '127.0.0.1:0'],
      {
        env: { ...process.env, MANYHANDS: standin, ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true,
      },
    );
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (text) => {
      stdout += text;
    });
    child.stderr.on('data', (text) => {
      stderr += text;
      if (stderr.includes('waiting')) child.emit('waiting');
    });
    const ended = once(child, 'close').then(([status]) => ({ status, stdout, stderr }));
    return { child, ended };
  };
  return { folder, join, start };
}

test('the first start begins the run, every later one goes on with it', async (context) => {
  const { folder, start } = runOrResume(context, { STANDIN_STATUS: '0' });
  const first = await start().ended;
  assert.equal(
    first.stderr.trim(),
    `coordinator --config run.yaml --out ${path.join(folder, 'run')} --listen 127.0.0.1:0`,
  );
  mkdirSync(path.join(folder, 'run'));
  writeFileSync(path.join(folder, 'run/config.yaml'), '');
  assert.match((await start().ended).stderr, / --resume --listen 127\.0\.0\.1:0\n$/);
});

test('the join URL is in a file for its owner alone, and nowhere else', async (context) => {
  const { join, start } = runOrResume(context, { STANDIN_STATUS: '0' });
  writeFileSync(join, 'of another address', { mode: 0o644 });
  const { status, stdout, stderr } = await start().ended;
  assert.equal(readFileSync(join, 'utf8'), 'manyhands://127.0.0.1:7070?token=s3cret&ca=12\n');
  assert.equal(statSync(join).mode & 0o777, 0o600);
  assert.deepEqual([status, stdout], [0, 'done: step 9\n']);
  assert.ok(!stderr.includes('s3cret'));
});

test('the coordinator’s exit status is the script’s', async (context) => {
  const { start } = runOrResume(context, { STANDIN_STATUS: '2' });
  assert.equal((await start().ended).status, 2);
});

test('a signal to the whole group still gets the coordinator’s last words', async (context) => {
  const { start } = runOrResume(context);
  const { child, ended } = start();
  await once(child, 'waiting');
  assert.ok(child.pid !== undefined);
  process.kill(-child.pid, 'SIGTERM');
  const { status, stdout } = await ended;
  assert.deepEqual([status, stdout], [130, 'stopped: step 7\n']);
});

function stay(context: TestContext, command: string) {
  const folder = temporary(context);
  const child = spawn(file('docker/stay.sh'), ['bash', '-c', command], {
    env: { ...process.env, TMPDIR: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  context.after(() => child.kill('SIGKILL'));
  const said = (stream: 'stdout' | 'stderr', text: string) =>
    new Promise<void>((resolve) => {
      let all = '';
      child[stream].on('data', (more) => {
        all += more;
        if (all.includes(text)) resolve();
      });
    });
  return { child, said, ended: once(child, 'exit'), mark: path.join(folder, 'manyhands-ended') };
}

test('stay: an end that a restart would change is handed on', async (context) => {
  const { ended, mark } = stay(context, 'exit 137');
  assert.deepEqual(await ended, [137, null]);
  assert.ok(!existsSync(mark));
});

for (const status of [0, 2]) {
  test(`stay: after ${status} it stays, says so to the health check, and goes when it is told to`, async (context) => {
    const { child, said, ended, mark } = stay(context, `exit ${status}`);
    await Promise.race([said('stderr', 'staying'), ended]);
    assert.ok(existsSync(mark));
    child.kill('SIGTERM');
    assert.deepEqual(await ended, [0, null]);
  });
}

test('stay: asked to go, it waits until the command has saved', async (context) => {
  const command = 'trap "sleep 0.3; echo saved; exit 130" TERM; echo up; while :; do sleep 0.1; done';
  const { child, said, ended } = stay(context, command);
  const saved = said('stdout', 'saved');
  await said('stdout', 'up');
  child.kill('SIGTERM');
  await saved;
  assert.deepEqual(await ended, [130, null]);
});

test('the health check asks what it is told to, and is content where there is nothing to ask', async (context) => {
  let status = 200;
  const server = createServer((_, response) => {
    response.writeHead(status).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const folder = temporary(context);
  const check = async (probe?: string) => {
    const env = { ...process.env, TMPDIR: folder, ...(probe && { MANYHANDS_PROBE: probe }) };
    const child = spawn(process.execPath, [file('docker/healthcheck.mjs')], { env, stdio: 'ignore' });
    return (await once(child, 'exit'))[0];
  };
  const url = `http://127.0.0.1:${address.port}/healthz`;
  assert.equal(await check(), 0);
  assert.equal(await check(url), 0);
  status = 503;
  assert.equal(await check(url), 1);
  server.close();
  server.closeAllConnections();
  await once(server, 'close');
  assert.equal(await check(url), 1, 'nobody answers');
  writeFileSync(path.join(folder, 'manyhands-ended'), '');
  assert.equal(await check(url), 0, 'what has ended on purpose is well');
});

test('every option that infra gives to manyhands is one that it has', () => {
  const known = ['coordinator', 'worker'].map((command) => {
    const args = [path.join(root, 'apps/cli/dist/main.js'), command, '--help'];
    return spawnSync(process.execPath, args, { encoding: 'utf8' }).stdout;
  });
  const containers = [...readYaml('docker/compose.yaml'), ...readYaml('kubernetes/manyhands.yaml')];
  const words = [
    ...['args', 'command', 'entrypoint'].flatMap((key) => all(containers, key)).flat(),
    ...files
      .filter((each) => /\.(sh|sbatch|service)$/.test(each))
      .flatMap((each) => read(each).split('\n'))
      .filter((line) => /(run-or-resume\.sh|bin\/manyhands|MANYHANDS).*--|set -- --/.test(line))
      .filter((line) => !line.startsWith('#'))
      .flatMap((line) => line.split(/[\s"]+/)),
  ];
  const options = new Set(words.filter((word) => /^--[a-z]/.test(String(word))));
  assert.ok(options.size >= 7, [...options].join(' '));
  for (const option of options)
    assert.ok(
      known.some((help) => help.includes(` ${option} `)),
      String(option),
    );
});

test('systemd: what is started is here, a bad config is not started again, and a stop may take its time', () => {
  for (const unit of files.filter((each) => each.endsWith('.service'))) {
    const text = read(unit);
    const [, command] = /^ExecStart=(\S+)/m.exec(text) ?? [];
    const own = path.relative('/opt/manyhands', command);
    if (!own.startsWith('node_modules/')) assert.ok(existsSync(path.join(root, own)), command);
    assert.match(text, /^RestartPreventExitStatus=2$/m);
    assert.match(text, /^Restart=(on-failure|always)$/m);
    assert.match(text, /^User=manyhands$/m);
  }
});

test('systemd reads its units without a word', { skip: without('systemd-analyze', '--version') }, () => {
  for (const unit of files.filter((each) => each.endsWith('.service'))) {
    const { stderr } = spawnSync('systemd-analyze', ['verify', file(unit)], { encoding: 'utf8' });
    // The programs themselves are not installed here.
    assert.deepEqual(
      stderr.split('\n').filter((line) => line !== '' && !line.includes('is not executable')),
      [],
    );
  }
});
