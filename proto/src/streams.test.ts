import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { sendAll } from './streams.js';

/** A stream of objects whose reader takes one message at each call of `take`. */
function slowStream(highWaterMark: number) {
  const waiting: { message: number[]; done: () => void }[] = [];
  const seen: number[][] = [];
  const stream = new Writable({
    objectMode: true,
    highWaterMark,
    write: (message: number[], _encoding, done) => void waiting.push({ message, done }),
  });
  const take = () => {
    const next = waiting.shift();
    if (next === undefined) return false;
    seen.push([...next.message]);
    next.done();
    return true;
  };
  return { stream, take, seen };
}

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

const settled = async (promise: Promise<unknown>) =>
  (await Promise.race([promise, new Promise((resolve) => setImmediate(resolve, 'pending'))])) !== 'pending';

test('it resolves when the last message has left, not when the stream has room for it', async () => {
  const { stream, take, seen } = slowStream(16);
  const memory = [1];
  const sending = sendAll(stream, [memory, memory, memory]);
  await nextTurn();
  assert.ok(take());
  assert.equal(await settled(sending), false);
  while (await new Promise((resolve) => setImmediate(() => resolve(take()))));
  assert.equal(await sending, true);
  memory[0] = 2; // only now may the memory be used again
  assert.deepEqual(seen, [[1], [1], [1]]);
});

test('messages are made only as the reader takes them', async () => {
  const { stream, take } = slowStream(2);
  let made = 0;
  const sending = sendAll(
    stream,
    (function* () {
      for (; made < 100; ) yield [made++];
    })(),
  );
  await nextTurn();
  assert.ok(made > 0 && made <= 3, `${made} messages were made for a reader that took none`);
  while (await new Promise((resolve) => setImmediate(() => resolve(take()))));
  assert.equal(await sending, true);
  assert.equal(made, 100);
});

test('a stream that closes half-way says so, and leaves no listener behind', async () => {
  const { stream, take } = slowStream(1);
  const sending = sendAll(stream, [[1], [2], [3]]);
  await nextTurn();
  take();
  stream.destroy();
  assert.equal(await sending, false);
  assert.equal(stream.listenerCount('drain') + stream.listenerCount('error'), 0);
  assert.equal(await sendAll(stream, [[4]]), false);
});

test('a message that is being made holds up the ones after it only, and each is told when it has left', async () => {
  const { stream, take, seen } = slowStream(16);
  let make = () => {};
  const made = new Promise<void>((resolve) => {
    make = resolve;
  });
  const taken: number[][] = [];
  const sending = sendAll(
    stream,
    (async function* () {
      yield [1];
      await made;
      yield [2];
    })(),
    (message) => taken.push(message),
  );
  await nextTurn();
  assert.ok(take());
  assert.deepEqual([seen, taken], [[[1]], [[1]]]);
  make();
  await nextTurn();
  assert.equal(await settled(sending), false);
  assert.ok(take());
  assert.equal(await sending, true);
  assert.deepEqual(taken, [[1], [2]]);
});

test('what the making of a message throws is thrown, and no listener stays', async () => {
  const { stream } = slowStream(16);
  const failing = (async function* () {
    yield [1];
    throw new Error('the sum failed');
  })();
  await assert.rejects(sendAll(stream, failing), /the sum failed/);
  assert.equal(stream.listenerCount('drain') + stream.listenerCount('error'), 0);
});
