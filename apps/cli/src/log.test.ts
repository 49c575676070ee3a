import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RunEvent } from '@manyhands/coordinator';
import { JsonLog } from './log.js';
import { step } from './test-events.js';

/** A log on a screen that remembers, with a clock that the test moves. */
function logged() {
  const lines: string[] = [];
  let time = 0;
  const log = new JsonLog('coordinator', { write: (text) => lines.push(text) }, () => time);
  return {
    log,
    lines,
    objects: () => lines.map((line) => JSON.parse(line)),
    pass(seconds: number) {
      time += seconds;
    },
  };
}

test('each event is one line that holds one JSON object', () => {
  const { log, lines, objects } = logged();
  const events: RunEvent[] = [
    { kind: 'status', text: 'listening\non two lines' },
    { kind: 'waiting', text: 'waiting 5 s for a worker to join' },
    { kind: 'warning', text: 'careful' },
    { kind: 'worker', text: 'a-1 joined', workers: 1, threads: 4 },
    step(1),
    {
      kind: 'eval',
      step: 1,
      trainLoss: 2,
      validationLoss: 3,
      bitsPerByte: 4,
      sources: { books: 3, forum: 5 },
      trainSources: { books: 2 },
      heldOut: ['forum'],
    },
    { kind: 'checkpoint', step: 1, path: 'run/checkpoints/step-000001', weightsSha256: 'abc' },
  ];
  for (const event of events) log.report(event);
  assert.equal(lines.length, events.length);
  for (const line of lines) assert.match(line, /^\{[^\n]*\}\n$/);
  for (const [i, object] of objects().entries()) {
    assert.equal(object.event, events[i].kind);
    assert.equal(object.command, 'coordinator');
    assert.equal(object.level, events[i].kind === 'warning' ? 'warn' : 'info');
    assert.equal(new Date(object.time).toISOString(), object.time);
    const { kind, ...fields } = events[i];
    const { text, ...rest } = { text: undefined, ...fields };
    if (text !== undefined) assert.equal(object.msg, text);
    for (const [key, value] of Object.entries(rest)) assert.deepEqual(object[key], value, `${kind}.${key}`);
  }
});

test('steps are told at the start, every five seconds, and last', () => {
  const { log, objects, pass } = logged();
  for (let number = 1; number <= 12; number++) {
    log.report(step(number));
    pass(1);
  }
  log.end();
  assert.deepEqual(
    objects().map((object) => object.step),
    [1, 6, 11, 12],
  );
});

test('the end says no step twice', () => {
  const { log, objects } = logged();
  log.report(step(99));
  log.report(step(100));
  log.end();
  assert.deepEqual(
    objects().map((object) => object.step),
    [99, 100],
  );
});

test('a number that JSON lacks is null', () => {
  const { log, objects } = logged();
  log.report(step(1, { loss: Number.NaN, gradNorm: Number.POSITIVE_INFINITY }));
  assert.deepEqual([objects()[0].loss, objects()[0].gradNorm], [null, null]);
});

test('a token never stands in a line, whatever carries it', () => {
  const { log, lines, objects } = logged();
  const url = 'manyhands://10.0.0.1:7070?token=c0ffee-_c0ffee&ca=12ab';
  log.status(`run: manyhands worker --join '${url}'`);
  log.warn(`"${url.replace('token', 'TOKEN')}" is refused`);
  log.line(url);
  log.error(url);
  log.report({ kind: 'checkpoint', step: 1, path: `/x?token=c0ffee`, weightsSha256: '' });
  for (const line of lines) assert.ok(!line.includes('c0ffee'), line);
  assert.equal(objects()[0].msg, "run: manyhands worker --join 'manyhands://10.0.0.1:7070?token=…&ca=12ab'");
  assert.deepEqual(
    objects().map((object) => object.level),
    ['info', 'warn', 'info', 'error', 'info'],
  );
});
