import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { TraceEvent } from './index.js';
import { addTrace, mergeTraces, span, startTrace, takeTrace, tracing, writeTrace } from './index.js';

const folder = mkdtempSync(join(tmpdir(), 'trace-'));
after(() => rmSync(folder, { recursive: true }));

function read(file: string): TraceEvent[] {
  return JSON.parse(readFileSync(file, 'utf8')).traceEvents;
}

const spans = (events: readonly TraceEvent[]) => events.flatMap((event) => (event.ph === 'X' ? [event] : []));
const names = (events: readonly TraceEvent[]) => spans(events).map(({ name }) => name);

test('nothing is kept while no trace was started', async () => {
  assert.equal(tracing(), false);
  span('lost', performance.now());
  addTrace([{ name: 'lost', ph: 'X', ts: 1, dur: 1, pid: 1, tid: 1 }]);
  assert.deepEqual(takeTrace(), []);
  const file = join(folder, 'empty.json');
  await writeTrace(file);
  assert.deepEqual(JSON.parse(readFileSync(file, 'utf8')), { traceEvents: [] });
});

test('a trace has the names of process and thread, and spans in microseconds of the wall clock', async () => {
  startTrace('coordinator');
  assert.equal(tracing(), true);
  const from = performance.now();
  const before = Date.now() * 1000;
  while (performance.now() - from < 3);
  span('inner', from + 1, { bytes: 12 });
  span('outer', from);
  const file = join(folder, 'one.json');
  await writeTrace(file);
  assert.equal(tracing(), false, 'writing ends the recording');
  const events = read(file);
  const named = events.flatMap((event) => (event.ph === 'M' ? [[event.name, event.args.name]] : []));
  assert.deepEqual(named, [
    ['process_name', 'coordinator'],
    ['thread_name', 'main'],
  ]);
  const [inner, outer] = spans(events);
  assert.deepEqual([inner.name, outer.name, inner.args], ['inner', 'outer', { bytes: 12 }]);
  assert.ok(events.every(({ pid, tid }) => pid === process.pid && tid === 1));
  assert.ok(
    outer.dur >= 3000 && Number.isInteger(outer.ts) && Number.isInteger(outer.dur),
    `${outer.dur} µs`,
  );
  assert.ok(outer.ts <= inner.ts && inner.ts + inner.dur <= outer.ts + outer.dur, 'spans keep their nesting');
  // The wall clock may be put right while a test runs, but not by a minute.
  assert.ok(Math.abs(outer.ts - before) < 60e6, `${outer.ts} against ${before}`);
});

test('what a thread recorded joins that of its process, on the same clock and apart from it', async () => {
  const code = `
    const { parentPort, workerData } = require('node:worker_threads');
    import(workerData).then(({ startTrace, span, takeTrace }) => {
      startTrace('thread 1');
      parentPort.postMessage(takeTrace());
      span('work', performance.now());
      parentPort.postMessage(takeTrace());
    });`;
  startTrace('worker');
  const from = performance.now();
  const workerData = new URL('./index.js', import.meta.url).href;
  const worker = new Worker(code, { eval: true, workerData });
  const answers: TraceEvent[][] = [];
  worker.on('message', (events) => answers.push(events));
  while (answers.length < 2) await once(worker, 'message');
  assert.deepEqual(answers[0], [], 'a name is told with the first span: until then answers may be lost');
  addTrace(answers[1]);
  span('wait', from);
  await worker.terminate();
  const all = takeTrace();
  const work = spans(all).find(({ name }) => name === 'work');
  const wait = spans(all).find(({ name }) => name === 'wait');
  assert.ok(work && wait && work.tid !== wait.tid && work.pid === wait.pid);
  // A thread's own clock starts with it: a slip would be as long as the process has lived.
  assert.ok(wait.ts - 50_000 <= work.ts && work.ts <= wait.ts + wait.dur + 50_000, `${wait.ts} ${work.ts}`);
  const threads = all.flatMap((event) => (event.name === 'thread_name' ? [event.args?.name] : []));
  assert.deepEqual(threads, ['main', 'thread 1']);
  assert.equal(all.filter(({ name }) => name === 'process_name').length, 1);
});

test('what was taken is forgotten', () => {
  startTrace('worker');
  span('first', performance.now());
  assert.deepEqual(names(takeTrace()), ['first']);
  span('second', performance.now());
  assert.deepEqual(names(takeTrace()), ['second']);
});

test('a trace that is full says how many events were dropped, once', () => {
  startTrace('worker', 2);
  for (let i = 0; i < 3; i++) span(`kept ${i}`, performance.now());
  addTrace([{ name: 'from a thread', ph: 'X', ts: 1, dur: 1, pid: 1, tid: 2 }]);
  const events = takeTrace();
  assert.deepEqual(names(events), ['kept 0', 'kept 1', 'the trace is full']);
  assert.deepEqual(spans(events).at(-1)?.args, { droppedEvents: 2 });
  span('room again', performance.now());
  assert.deepEqual(names(takeTrace()), ['room again']);
});

test('several files become one, which may be among them', async () => {
  const file = (name: string) => join(folder, name);
  startTrace('coordinator');
  for (let i = 0; i < 9000; i++) span('reduce', performance.now());
  await writeTrace(file('all.json'));
  startTrace('worker-1');
  span('sum', performance.now());
  await writeTrace(file('worker.json'));
  await mergeTraces([file('all.json'), file('worker.json')], file('all.json'));
  const events = read(file('all.json'));
  assert.equal(events.length, 2 + 9000 + 2 + 1);
  assert.deepEqual([...new Set(names(events))], ['reduce', 'sum']);
  assert.deepEqual(
    events.flatMap((event) => (event.name === 'process_name' ? [event.args?.name] : [])),
    ['coordinator', 'worker-1'],
  );
});

test('what is no trace is refused by its name', async () => {
  const file = join(folder, 'other.json');
  for (const text of ['[]', '{}', '{"traceEvents": 5}', 'null']) {
    writeFileSync(file, text);
    await assert.rejects(mergeTraces([file], file), /other\.json is no trace/);
    assert.equal(readFileSync(file, 'utf8'), text, 'and left as it was');
  }
  await assert.rejects(mergeTraces([join(folder, 'none.json')], file), { code: 'ENOENT' });
  await assert.rejects(writeTrace(join(folder, 'none', 'x.json')), { code: 'ENOENT' });
});
