import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { type EventEmitter, once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { MAXIMUM_REQUEST_MESSAGE_BYTES, parseJoinUrl, status, Training } from '@manyhands/proto';
import { startWorker } from '@manyhands/worker';
import type { Told } from './coordinator-process.js';
import {
  dataFrame,
  grpcFrame,
  openCall,
  opening,
  openSession,
  openSocket,
  statusOf,
  type Victim,
} from './raw-http2.js';
import { helloMessage, readyMessage } from './targets/wire.js';

const folder = mkdtempSync(join(tmpdir(), 'manyhands-http2-'));
/** More than a calm run takes beyond its start, and far less than what an attack would have it hold. */
const MEMORY = 300 * 2 ** 20;

let coordinator: ChildProcess;
let joinUrl: string;
let victim: Victim;
let calm: number;

/** The next thing of its kind that the coordinator tells. */
async function told<K extends string>(key: K): Promise<Extract<Told, Record<K, unknown>>> {
  for (;;) {
    const [message]: Told[] = await once(coordinator, 'message');
    if (isAbout(message, key)) return message;
  }
}

function isAbout<K extends string>(message: Told, key: K): message is Extract<Told, Record<K, unknown>> {
  return key in message;
}

async function memory(): Promise<number> {
  const answer = told('rss');
  coordinator.send('memory');
  return (await answer).rss;
}

before(async () => {
  const program = fileURLToPath(new URL('./coordinator-process.js', import.meta.url));
  coordinator = fork(program, [folder], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  ({ joinUrl } = await told('joinUrl'));
  victim = parseJoinUrl(joinUrl);
  await honestWork();
  calm = await memory();
});

after(async () => {
  coordinator.disconnect();
  if (coordinator.exitCode === null) await once(coordinator, 'exit');
  rmSync(folder, { recursive: true, force: true });
});

/** As `once`, but an error is no end: attackers are hung up on. */
function next(emitter: EventEmitter, name: string): Promise<void> {
  return new Promise((resolve) => emitter.once(name, () => resolve()));
}

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** A worker joins, works for three steps, and leaves. */
async function honestWork(): Promise<void> {
  const worker = startWorker({ join: joinUrl, threads: 1, backend: 'cpu', name: 'honest', report: () => {} });
  for (let steps = 0; steps < 3; steps++) {
    await Promise.race([told('step'), worker.done.then(() => assert.fail('the worker was sent away'))]);
  }
  worker.leave();
  await worker.done;
}

/** While `attack` goes on, an honest worker joins and works; the process lives, in bounded memory. */
async function withstands(attack: () => Promise<void>): Promise<void> {
  await Promise.all([attack(), honestWork()]);
  const taken = Math.round(((await memory()) - calm) / 2 ** 20);
  assert.ok(taken < MEMORY / 2 ** 20, `${taken} MiB more than in a calm run`);
  assert.equal(coordinator.exitCode, null);
}

function session() {
  const opened = openSession(victim);
  closers.push(() => opened.destroy());
  return opened;
}

async function socket() {
  const opened = await openSocket(victim);
  closers.push(() => opened.destroy());
  return opened;
}

/** Writes `piece` so many times as fast as it is taken, or until the other side hangs up. */
async function pour(target: Awaited<ReturnType<typeof socket>>, piece: Buffer, times: number): Promise<void> {
  let wake = () => {};
  target.on('drain', () => wake()).on('close', () => wake());
  for (let written = 0; written < times && !target.destroyed; written++) {
    const full = new Promise<void>((resolve) => {
      wake = resolve;
    });
    if (!target.write(piece)) await full;
  }
}

const message = Training.service.Work.requestSerialize;
const hello = grpcFrame(message(helloMessage));

test('a message over the limit ends its call when its length is told, whether it comes or not', async () => {
  await withstands(async () => {
    for (const length of [MAXIMUM_REQUEST_MESSAGE_BYTES + 1, 0x7fffffff, 0xffffffff]) {
      const call = openCall(session(), victim, 'Work');
      call.write(hello);
      call.write(grpcFrame(Buffer.alloc(100), { length }));
      assert.equal(await statusOf(call), String(status.RESOURCE_EXHAUSTED), `${length} bytes`);
    }
  });
});

test('what grows beyond the limit when it is unpacked ends its call', async () => {
  const bomb = gzipSync(Buffer.alloc(200 * 2 ** 20));
  await withstands(async () => {
    for (let i = 0; i < 10; i++) {
      const call = openCall(session(), victim, 'Work', { 'grpc-encoding': 'gzip' });
      call.write(grpcFrame(bomb, { compressed: true }));
      assert.equal(await statusOf(call), String(status.RESOURCE_EXHAUSTED));
    }
  });
});

/** What a message of a mebibyte is made of; each takes a hundred times its byte where it is kept as it came. */
const FRAMES = 4_000_000;

test('messages in DATA frames of one byte each, by millions, from a member', async () => {
  await withstands(async () => {
    const target = await socket();
    const numbers = Array.from({ length: 8 }, (_, i) => 2 * i + 1);
    const unending = grpcFrame(Buffer.of(), { length: MAXIMUM_REQUEST_MESSAGE_BYTES - 1 });
    target.resume().write(opening(victim, 'Work', numbers.length));
    for (const number of numbers) target.write(dataFrame(number, Buffer.concat([hello, unending])));
    const frames = Array.from({ length: 1000 }, () =>
      numbers.map((number) => dataFrame(number, Buffer.of(10))),
    );
    await pour(target, Buffer.concat(frames.flat()), FRAMES / (1000 * numbers.length));
  });
});

test('thousands of streams that say nothing, on many connections', async () => {
  await withstands(async () => {
    const sockets = await Promise.all(Array.from({ length: 100 }, socket));
    for (const target of sockets) target.resume().write(opening(victim, 'Work', 100));
    const calls = Array.from({ length: 3000 }, (_, i) => i % 3);
    const own = Array.from({ length: 3 }, session);
    await Promise.all(calls.map((number) => next(openCall(own[number], victim, 'Work').end(), 'close')));
  });
});

test('members that never read what they are sent', async () => {
  await withstands(async () => {
    for (let reader = 0; reader < 5; reader++) {
      const own = session();
      const work = openCall(own, victim, 'Work');
      work.write(hello);
      const [first]: Buffer[] = await once(work, 'data');
      const { welcome } = Training.service.Work.responseDeserialize(first.subarray(5));
      assert.ok(welcome);
      work.write(grpcFrame(message(readyMessage(welcome.modelHash))));
      const weights = openCall(own, victim, 'Weights', { worker: welcome.worker });
      weights.end(grpcFrame(Buffer.of()));
      work.pause();
    }
  });
});

test('bytes that are no HTTP/2', async () => {
  await withstands(async () => {
    const inputs = [
      Buffer.from('GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'),
      Buffer.from(`PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${'x'.repeat(1000)}`),
      Buffer.of(0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3),
      Buffer.alloc(100_000),
      ...Array.from({ length: 60 }, (_, i) => randomBytes(1 + 50 * i)),
    ];
    for (const input of inputs) {
      const target = await socket();
      target.resume().end(input);
      if (!target.closed) await next(target, 'close');
    }
  });
});
