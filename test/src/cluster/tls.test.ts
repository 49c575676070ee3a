import assert from 'node:assert/strict';
import { appendFileSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type RunEvent, startCoordinator } from '@manyhands/coordinator';
import { startWorker } from '@manyhands/worker';
import { run, temporaryFolder, tinyConfig } from './cluster.js';

const folder = temporaryFolder(after);
const config = tinyConfig(folder);

/** A run over TLS with two workers; everything is over when it resolves. */
async function encrypted(out: string, during: (event: RunEvent, workers: { leave(): void }[]) => void) {
  const events: RunEvent[] = [];
  const workers: ReturnType<typeof startWorker>[] = [];
  const coordinator = await startCoordinator({
    config: { ...config, cluster: { ...config.cluster, minWorkers: 2 } },
    out,
    resume: false,
    listen: '127.0.0.1:0',
    tls: true,
    tokenLimits: { ttl: 60, joins: 3 },
    report: (event) => {
      events.push(event);
      during(event, workers);
    },
  });
  const enter = () => {
    const worker = startWorker({
      join: coordinator.joinUrl,
      threads: 1,
      backend: 'cpu',
      name: 'guest',
      report: () => {},
    });
    workers.push(worker);
    return worker;
  };
  enter();
  enter();
  const summary = await coordinator.done;
  await Promise.all(workers.map(({ done }) => done));
  return { summary, events, joinUrl: coordinator.joinUrl };
}

test('over TLS, two workers with certificates reach the weights of the calm run', async () => {
  const calm = await run(config, join(folder, 'calm'), { threads: [1] });
  const out = join(folder, 'tls');
  const { summary, events, joinUrl } = await encrypted(out, () => {});
  assert.equal(summary.weightsSha256, calm.summary.weightsSha256);
  const url = new URL(joinUrl);
  assert.match(url.searchParams.get('ca') ?? '', /^[0-9a-f]{64}$/);
  const joined = events.flatMap((event) => (event.kind === 'worker' ? event.text : []));
  assert.ok(
    joined.some((text) => /^guest-[0-9a-f]{10}-2 joined/.test(text)),
    joined.join('\n'),
  );
  assert.deepEqual(
    events.filter(({ kind }) => kind === 'warning'),
    [],
    'nobody was refused',
  );
  const token = url.searchParams.get('token') ?? '';
  assert.equal(
    JSON.parse(readFileSync(join(out, 'join-token'), 'utf8')).joins,
    1,
    'two of three joins are used',
  );
  for (const file of ['events.jsonl', 'metrics.jsonl', 'config.yaml']) {
    assert.ok(!readFileSync(join(out, file), 'utf8').includes(token), `${file} holds no secret`);
  }
  assert.ok(readdirSync(out).includes('ca.pem'));
});

test('a worker that was quarantined does not come back to the resumed run, and its evidence is told', async () => {
  const out = join(folder, 'quarantined');
  const open = (resume: boolean, listen: string, report: (event: RunEvent) => void) =>
    startCoordinator({ config, out, resume, listen, tls: true, workersWait: true, report });
  let identity = '';
  const first = await open(false, '127.0.0.1:0', (event) => {
    if (event.kind === 'worker') identity ||= /^(\S+)-\d+ joined/.exec(event.text)?.[1] ?? '';
    if (event.kind === 'step' && event.step === 2) first.stop();
  });
  const worker = startWorker({
    join: first.joinUrl,
    threads: 1,
    backend: 'cpu',
    name: 'guest',
    report: () => {},
  });
  const ended = assert.rejects(worker.done, /cannot join the run at .*: it is quarantined: it lied\.$/);
  await first.done;
  const line = {
    time: '',
    event: 'quarantined',
    step: 2,
    worker: `${identity}-1`,
    identity,
    reason: 'it lied',
  };
  appendFileSync(join(out, 'events.jsonl'), `${JSON.stringify(line)}\n`);
  const joined: string[] = [];
  const second = await open(true, new URL(first.joinUrl).host, (event) => {
    if (event.kind === 'worker') joined.push(event.text);
  });
  await ended;
  second.stop();
  await second.done;
  assert.deepEqual(joined, []);
});
