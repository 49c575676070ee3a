import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type RunEvent, startCoordinator } from '@manyhands/coordinator';
import { startWorker } from '@manyhands/worker';
import { run, temporaryFolder, tinyConfig } from './cluster.js';

/* What becomes of workers when their coordinator ends, and comes back. */

const folder = temporaryFolder(after);
const config = tinyConfig(folder);

/** As the command starts one, where the join line `join` leads; stopped after step `until`. */
async function coordinator(out: string, { resume = false, join = '', until = Number.POSITIVE_INFINITY }) {
  const listen = join === '' ? '127.0.0.1:0' : new URL(join.replace('manyhands:', 'http:')).host;
  const running = await startCoordinator({
    config,
    out,
    resume,
    listen,
    workersWait: true,
    report: (event) => {
      if (event.kind === 'step' && event.step === until) running.stop();
    },
  });
  return running;
}

function worker(join: string) {
  const said: string[] = [];
  const report = ({ text }: { text: string }) => said.push(text);
  return { said, ...startWorker({ join, threads: 1, backend: 'cpu', name: 'guest', report }) };
}

/** A port that nobody had a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test('a worker waits for a run that was interrupted, and ends with one that is over', async () => {
  const calm = await run(config, join(folder, 'calm'), { threads: [1] });
  const out = join(folder, 'interrupted');
  const first = await coordinator(out, { until: 3 });
  const guest = worker(first.joinUrl);
  assert.equal((await first.done).interrupted, true);
  const second = await coordinator(out, { resume: true, join: first.joinUrl });
  void guest.done.finally(() => second.stop()); // one that does not wait for it would let it wait for ever
  const { interrupted, step, weightsSha256 } = await second.done;
  assert.deepEqual({ interrupted, step }, { interrupted: false, step: 8 });
  await guest.done;
  assert.equal(weightsSha256, calm.summary.weightsSha256);
  assert.match(guest.said.join('\n'), /stopped for now \(interrupted\); trying again/);
  assert.match(guest.said.at(-1) ?? '', /the run is over: all 8 steps are done/);
});

test('a run that is over tells the workers that still wait for it, and ends by itself', async () => {
  const out = join(folder, 'over');
  const before = await run(config, out, { threads: [1] });
  // Where nobody listens yet: the coordinator that it knew is gone.
  const port = await freePort();
  const { token } = JSON.parse(readFileSync(join(out, 'join-token'), 'utf8'));
  const guest = worker(`manyhands://127.0.0.1:${port}?token=${token}`);
  const running = await startCoordinator({
    config,
    out,
    resume: true,
    listen: `127.0.0.1:${port}`,
    workersWait: true,
    report: () => {},
  });
  const summary = await running.done;
  await guest.done;
  assert.equal(guest.said.at(-1), 'the run is over: all 8 steps are done');
  assert.ok(!guest.said.some((text) => /joined/.test(text)), 'nothing is prepared for it');
  const { interrupted, step, weightsSha256 } = summary;
  assert.deepEqual({ interrupted, step }, { interrupted: false, step: 8 });
  assert.equal(weightsSha256, before.summary.weightsSha256);
});

test('a full run takes its own worker back, while what is left of its connection still counts', async () => {
  // A way in that the network cuts on the worker's side only.
  const near = new Set<Socket>();
  const far = new Set<Socket>();
  let target = '';
  const line = createServer((worker) => {
    const coordinator = connect(Number(new URL(target).port), '127.0.0.1');
    near.add(worker.on('error', () => {}));
    far.add(coordinator.on('error', () => {}));
    worker.pipe(coordinator, { end: false });
    coordinator.pipe(worker);
  }).listen(0, '127.0.0.1');
  await once(line, 'listening');
  const { port } = line.address() as AddressInfo;
  const full = tinyConfig(folder, {
    cluster: { maxWorkers: 1, heartbeatSeconds: 0.2, lostAfterSeconds: 60 },
  });
  let back = '';
  const outcome = await run(full, join(folder, 'full'), {
    threads: [],
    during(event, stage) {
      if (event.kind === 'status' && /^listening/.test(event.text)) {
        target = stage.joinUrl.replace('manyhands:', 'http:');
        const url = new URL(stage.joinUrl);
        url.port = String(port);
        void stage.join(1, { joinUrl: url.href }).done.catch(() => stage.stop());
      }
      if (event.kind === 'step' && event.step === 2) for (const socket of near) socket.destroy();
      if (event.kind === 'worker' && /came back/.test(event.text)) back = event.text;
    },
  }).finally(() => {
    line.close();
    for (const socket of [...near, ...far]) socket.destroy();
  });
  assert.match(back, /^inside-1 left: came back on another connection/);
  assert.equal(outcome.summary.step, 8);
});

test('who is hung up on since the run ends was refused nothing', async () => {
  const events: RunEvent[] = [];
  const running = await startCoordinator({
    config,
    out: join(folder, 'silent'),
    resume: false,
    listen: '127.0.0.1:0',
    report: (event) => events.push(event),
  });
  const { hostname, port } = new URL(running.joinUrl.replace('manyhands:', 'http:'));
  const silent = connect(Number(port), hostname).resume();
  await once(silent, 'connect');
  const closed = once(silent, 'close');
  running.stop();
  await running.done;
  await closed;
  assert.deepEqual(
    events.filter(({ kind }) => kind === 'warning'),
    [],
  );
});
