import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { UserError } from '@manyhands/core/config';
import type { RunEvent } from '../events.js';
import type { RunSample } from './metrics.js';
import { startObserver } from './observer.js';

interface Reply {
  readonly status: number | undefined;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
}

async function observe(context: TestContext) {
  const observer = await startObserver({ host: '127.0.0.1', port: 0, run: 'test' });
  context.after(() => observer.close());
  const ask = (path: string, { method = 'GET', headers = {} } = {}): Promise<Reply> =>
    new Promise((resolve, reject) => {
      const asked = request(
        { host: '127.0.0.1', port: observer.port, path, method, headers, agent: false },
        (reply) => {
          let body = '';
          reply.setEncoding('utf8');
          reply.on('data', (text) => {
            body += text;
          });
          reply.on('end', () => resolve({ status: reply.statusCode, headers: reply.headers, body }));
        },
      );
      asked.on('error', reject);
      asked.end();
    });
  /** The value of a line of /metrics; undefined where there is none. */
  const value = async (series: string) => {
    const { body } = await ask('/metrics');
    const line = body.split('\n').find((text) => text.startsWith(`${series} `));
    return line === undefined ? undefined : Number(line.slice(series.length + 1));
  };
  return { observer, ask, value };
}

const step: Extract<RunEvent, { kind: 'step' }> = {
  kind: 'step',
  step: 7,
  steps: 100,
  loss: 2.5,
  learningRate: 0.001,
  gradNorm: 0.7,
  updateRatio: { overall: 0.001, groups: { embeddings: 0.002, mlp: 0.0005 } },
  tokens: 768,
  tokensPerSecond: 5120,
  unit: 'tokens',
  secondsPerStep: 0.15,
  workers: 2,
  crew: 2,
  secondsLeft: 14,
};

const sample: RunSample = {
  bytesReceived: 1000,
  bytesSent: 2000,
  workers: [
    { worker: 'a-1', threads: 4, microBatchesPerSecond: 12.5, ranges: 2 },
    { worker: 'odd "name"\\-2', threads: 1, microBatchesPerSecond: null, ranges: 0 },
  ],
};

test('ready from when the run is open until it is over; healthy all the time', async (context) => {
  const { observer, ask } = await observe(context);
  const both = async () => [(await ask('/healthz')).status, (await ask('/readyz')).status];
  assert.deepEqual(await both(), [200, 503]);
  observer.open(() => sample);
  assert.deepEqual(await both(), [200, 200]);
  observer.ended();
  assert.deepEqual(await both(), [200, 503]);
});

test('metrics follow the events', async (context) => {
  const { observer, value } = await observe(context);
  observer.report(step);
  observer.report({ ...step, step: 8, loss: 2.25, secondsPerStep: 0.25, crew: 1 });
  const evaluation = {
    kind: 'eval',
    step: 8,
    trainLoss: 2.3,
    validationLoss: 2.75,
    bitsPerByte: 3.5,
    sources: { books: 2.75, forum: 3.25 },
    trainSources: { books: 2.3 },
    heldOut: ['forum'],
  } as const;
  observer.report(evaluation);
  observer.report({ ...evaluation, step: 9, validationLoss: null, bitsPerByte: null });
  observer.report({ kind: 'checkpoint', step: 8, path: 'x', weightsSha256: 'y' });
  observer.report({ kind: 'warning', text: 'careful' });
  observer.note('lost');
  observer.note('quarantined');
  for (const [series, expected] of [
    ['manyhands_info{run="test"}', 1],
    ['manyhands_step', 8],
    ['manyhands_crew', 1],
    ['manyhands_steps', 100],
    ['manyhands_loss', 2.25],
    ['manyhands_validation_loss', 2.75],
    ['manyhands_bits_per_byte', 3.5],
    ['manyhands_source_validation_loss{source="books",held_out="false"}', 2.75],
    ['manyhands_source_validation_loss{source="forum",held_out="true"}', 3.25],
    ['manyhands_source_loss{source="books",held_out="false"}', 2.3],
    ['manyhands_source_loss{source="forum",held_out="true"}', undefined],
    ['manyhands_learning_rate', 0.001],
    ['manyhands_gradient_norm', 0.7],
    ['manyhands_checkpoint_step', 8],
    ['manyhands_update_ratio{group="overall"}', 0.001],
    ['manyhands_update_ratio{group="embeddings"}', 0.002],
    ['manyhands_update_ratio{group="mlp"}', 0.0005],
    ['manyhands_tokens_total', 2 * 768],
    ['manyhands_step_seconds_count', 2],
    ['manyhands_step_seconds_sum', 0.4],
    ['manyhands_step_seconds_bucket{le="0.3"}', 2],
    ['manyhands_step_seconds_bucket{le="0.1"}', 0],
    ['manyhands_warnings_total', 1],
    ['manyhands_events_total{event="lost"}', 1],
    ['manyhands_events_total{event="quarantined"}', 1],
    ['manyhands_events_total{event="reassigned"}', 0],
  ] as const) {
    assert.equal(await value(series), expected, series);
  }
});

test('the size of an update is told of the last step alone, and not at all where it is not measured', async (context) => {
  const { observer, ask } = await observe(context);
  const sizes = async () =>
    [...(await ask('/metrics')).body.matchAll(/^manyhands_update_ratio\{group="(\w+)"\} (.+)$/gm)].map(
      ([, group, size]) => [group, Number(size)],
    );
  observer.report(step);
  assert.equal((await sizes()).length, 3);
  observer.report({ ...step, updateRatio: { overall: 0, groups: {} } });
  assert.deepEqual(await sizes(), [['overall', 0]]);
  observer.report({ ...step, updateRatio: null });
  assert.deepEqual(await sizes(), []);
});

test('what is not known yet is absent, and not 0', async (context) => {
  const { value } = await observe(context);
  for (const name of ['step', 'loss', 'validation_loss', 'checkpoint_step']) {
    assert.equal(await value(`manyhands_${name}`), undefined, name);
  }
});

test('each worker that is there has its series, and loses them when it leaves', async (context) => {
  const { observer, ask, value } = await observe(context);
  let now = sample;
  observer.open(() => now);
  assert.equal(await value('manyhands_workers'), 2);
  assert.equal(await value('manyhands_worker_threads{worker="a-1"}'), 4);
  assert.equal(await value('manyhands_worker_ranges{worker="a-1"}'), 2);
  assert.equal(await value('manyhands_worker_micro_batches_per_second{worker="a-1"}'), 12.5);
  assert.equal(await value('manyhands_worker_threads{worker="odd \\"name\\"\\\\-2"}'), 1);
  const { body } = await ask('/metrics');
  assert.equal(
    body.match(/^manyhands_worker_micro_batches_per_second\{/gm)?.length,
    1,
    'unmeasured is absent',
  );
  now = { ...sample, workers: [] };
  assert.equal(await value('manyhands_workers'), 0);
  assert.equal((await ask('/metrics')).body.includes('a-1'), false);
});

test('bytes are the run’s own count, read twice or not, and stay when the run is over', async (context) => {
  const { observer, value } = await observe(context);
  assert.equal(await value('manyhands_received_bytes_total'), 0);
  let bytesReceived = 1000;
  observer.open(() => ({ ...sample, bytesReceived }));
  assert.equal(await value('manyhands_received_bytes_total'), 1000);
  bytesReceived = 1500;
  assert.equal(await value('manyhands_received_bytes_total'), 1500);
  assert.equal(await value('manyhands_sent_bytes_total'), 2000);
  observer.ended();
  assert.equal(await value('manyhands_received_bytes_total'), 1500);
});

test('a loss that is no number is told as one', async (context) => {
  const { observer, ask } = await observe(context);
  observer.report({ ...step, loss: Number.NaN });
  assert.match((await ask('/metrics')).body, /^manyhands_loss nan$/im);
});

test('only GET and HEAD; HEAD has no body', async (context) => {
  const { ask } = await observe(context);
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE']) {
    const reply = await ask('/metrics', { method });
    assert.deepEqual([reply.status, reply.headers.allow], [405, 'GET, HEAD'], method);
  }
  const head = await ask('/metrics', { method: 'HEAD' });
  assert.deepEqual([head.status, head.body], [200, '']);
});

test('another host or another origin gets nothing', async (context) => {
  const { observer, ask } = await observe(context);
  const own = `127.0.0.1:${observer.port}`;
  const status = async (headers: Record<string, string>) => (await ask('/metrics', { headers })).status;
  assert.equal(await status({ host: 'evil.example' }), 403);
  assert.equal(await status({ host: `evil.example:${observer.port}` }), 403);
  assert.equal(await status({ host: own, origin: 'http://evil.example' }), 403);
  assert.equal(await status({ host: own, origin: `http://${own}` }), 200);
});

test('no path but the three is known', async (context) => {
  const { ask } = await observe(context);
  for (const path of [
    '/',
    '/metrics/',
    '/constructor',
    '/__proto__',
    '//metrics',
    '/../metrics',
    '/healthz%00',
  ]) {
    assert.equal((await ask(path)).status, 404, path);
  }
  assert.equal((await ask('/healthz?verbose=1')).status, 200);
});

test('headers have a limit', async (context) => {
  const { ask } = await observe(context);
  assert.equal((await ask('/healthz', { headers: { x: 'a'.repeat(9000) } })).status, 431);
});

test('what is no HTTP is hung up on, and the next is answered', async (context) => {
  const { observer, ask } = await observe(context);
  for (const text of [
    '\x16\x03\x01\x02\x00\x01',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'GET /healthz HTTP/1.1\r\n\r\n',
  ]) {
    const socket = connect(observer.port, '127.0.0.1');
    socket.resume();
    socket.write(text);
    await once(socket, 'close');
  }
  assert.equal((await ask('/healthz')).status, 200);
});

test('one connection more than the limit is turned away, and those before it stay', async (context) => {
  const { observer } = await observe(context);
  const sockets = [];
  for (let i = 0; i < 64; i++) {
    const socket = connect(observer.port, '127.0.0.1');
    await once(socket, 'connect');
    sockets.push(socket.resume());
  }
  const late = connect(observer.port, '127.0.0.1').resume();
  await once(late, 'close');
  assert.ok(sockets.every((socket) => !socket.destroyed && !socket.readableEnded));
  for (const socket of sockets) socket.destroy();
});

test('an address that cannot be used is told in one sentence', async (context) => {
  const { observer } = await observe(context);
  await assert.rejects(startObserver({ host: '127.0.0.1', port: observer.port, run: 'second' }), (error) => {
    assert.ok(error instanceof UserError);
    assert.match(error.message, /^--metrics 127\.0\.0\.1:\d+ cannot be used: .*EADDRINUSE/);
    return true;
  });
});

test('close hangs up on who has not asked yet', async () => {
  const observer = await startObserver({ host: '127.0.0.1', port: 0, run: 'test' });
  const socket = connect(observer.port, '127.0.0.1');
  await once(socket, 'connect');
  let answer = '';
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.on('error', () => {}); // reset
  socket.on('data', (bytes) => {
    answer += bytes;
  });
  socket.write('GET /healthz HTTP/1.1\r\n');
  await observer.close();
  await closed;
  assert.equal(answer, '');
});
