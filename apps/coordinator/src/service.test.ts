import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { after, afterEach, test } from 'node:test';
import { setImmediate as settled } from 'node:timers/promises';
import {
  announce,
  ChunkMemory,
  type CoordinatorMessage__Output,
  connect,
  listen,
  type Metadata,
  type PartialSum,
  type Piece,
  PROTOCOL_VERSION,
  piecesOf,
  SharedMemory,
  type SharedTensor,
  sendAll,
  status,
  TensorAssembler,
  type TensorChunk__Output,
  type WorkerMessage,
} from '@manyhands/proto';
import { Choices } from './choices.js';
import { Door } from './security/door.js';
import { createService, type WorkerSession } from './service.js';
import { JoinToken } from './token.js';
import { WeightsFeed } from './weights-feed.js';

const invitation = {
  run: 'test',
  model: '{}',
  modelHash: 'the-model',
  seed: 1,
  reproducible: true,
  heartbeatSeconds: 1,
  dataHash: 'the-data',
  shapes: [{ sequences: 2, time: 8, train: true }],
  recompute: false,
  size: 600_000,
};

/** Everything that the service says, as events: `ready`, `summed` … with their arguments. */
class Listener extends EventEmitter {
  readonly said: { name: string; values: unknown[] }[] = [];
  private tell(name: string, ...values: unknown[]) {
    this.said.push({ name, values });
    this.emit(name, ...values);
  }
  unwelcome = (identity: string) => this.barred.get(identity) ?? null;
  readonly barred = new Map<string, string>();
  ready = (session: WorkerSession) => this.tell('ready', session);
  heard = (worker: string) => this.tell('heard', worker);
  readonly sum = new Float32Array(invitation.size);
  summing = (worker: string, assignment: number, piece: Piece, values: Float32Array) => {
    this.sum.set(values, piece.from);
    this.tell('summing', worker, assignment, piece);
  };
  summed = (worker: string, assignment: number, losses: object, seconds: number) =>
    this.tell('summed', worker, assignment, losses, seconds);
  evaluated = (worker: string, assignment: number, losses: object) =>
    this.tell('evaluated', worker, assignment, losses);
  failed = (worker: string, assignment: number, reason: string) =>
    this.tell('failed', worker, assignment, reason);
  gone = (worker: string, reason: string) => this.tell('gone', worker, reason);
  received = () => {};
}

const folder = mkdtempSync(joinPath(tmpdir(), 'manyhands-service-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

async function setUp(
  places: readonly SharedTensor[] = [],
  versions: readonly [SharedTensor, SharedTensor] | null = null,
) {
  const weights = new Float32Array(invitation.size);
  const feed = new WeightsFeed(weights, () => {}, versions);
  const listener = new Listener();
  const choices = new Choices(folder, false, true);
  const token = await JoinToken.open(folder);
  const lines: string[] = [];
  const door = new Door(token, { kind: 'token', local: true }, (line) => lines.push(line));
  const service = createService({ door, invitation, keepaliveSeconds: 20, feed, places, choices, listener });
  const port = await listen(service.server, '127.0.0.1', 0, { watch: (server) => door.watch(server) });
  closers.push(() => {
    service.server.forceShutdown();
    door.close();
  });
  const dial = (withToken = token.secret) => {
    const { client, metadata } = connect({ host: '127.0.0.1', port }, { kind: 'token', token: withToken });
    closers.push(() => client.close());
    const work = client.Work(metadata);
    work.on('error', () => {});
    const answer = async (message: WorkerMessage): Promise<CoordinatorMessage__Output> => {
      const answered = once(work, 'data');
      work.write(message);
      return (await answered)[0];
    };
    return { client, metadata, work, answer };
  };
  return { service, weights, feed, listener, dial, lines };
}

const hello = { protocol: PROTOCOL_VERSION, software: '1', name: 'ada', threads: 2, machine: 'a machine' };
const ready = {
  backend: 'cpu',
  mode: 'wasm',
  device: 'x',
  modelHash: 'the-model',
  hasData: false,
  choices: 'native',
};

async function join(scene: Awaited<ReturnType<typeof setUp>>, place = 0) {
  const worker = scene.dial();
  const { welcome } = await worker.answer({ hello: { ...hello, place } });
  assert.ok(welcome);
  const joined = once(scene.listener, 'ready');
  worker.work.write({ ready });
  const [session]: [WorkerSession] = (await joined) as [WorkerSession];
  const own: Metadata = worker.metadata.clone();
  own.set('worker', welcome.worker);
  return { ...worker, metadata: own, welcome, session };
}

const codeOf = async (call: EventEmitter) => ((await once(call, 'error')) as [{ code: number }])[0].code;

test('a worker says hello, is told the run’s rules, says ready, and is in', async () => {
  const scene = await setUp();
  const { welcome, session } = await join(scene);
  assert.equal(welcome.model, invitation.model);
  assert.equal(welcome.seed, 1);
  assert.equal(welcome.reproducible, true);
  assert.deepEqual([session.id, session.threads, session.hasData], ['ada-1', 2, false]);
});

test('without the run’s token all three calls are refused', async () => {
  const scene = await setUp();
  const { client, metadata, work } = scene.dial('another');
  assert.equal(await codeOf(work), status.UNAUTHENTICATED);
  metadata.set('worker', 'ada-1');
  const weights = client.Weights({}, metadata);
  assert.equal(await codeOf(weights), status.UNAUTHENTICATED);
  const code = await new Promise((resolve) => client.Gradients(metadata, (error) => resolve(error?.code)));
  assert.equal(code, status.UNAUTHENTICATED);
  assert.equal(scene.lines.length, 1, 'one line for the connection');
  assert.match(scene.lines[0], /^127\.0\.0\.1:\d+ was refused: the token does not belong to this run$/);
});

test('a flood of messages from one worker ends its call', async (context) => {
  const scene = await setUp();
  const { work } = await join(scene);
  const gone = once(scene.listener, 'gone');
  const refused = once(work, 'data');
  const now = performance.now();
  context.mock.method(performance, 'now', () => now); // a slow machine would let them take their time
  for (let i = 0; i < 3000; i++) work.write({ failed: { assignment: i, reason: '' } });
  assert.match((await refused)[0].refusal.reason, /fewer messages/);
  await gone;
});

test('the token alone does not open weights and gradients: the worker must have joined', async () => {
  const scene = await setUp();
  const { client, metadata } = scene.dial();
  metadata.set('worker', 'ada-1');
  assert.equal(await codeOf(client.Weights({}, metadata)), status.UNAUTHENTICATED);
});

for (const [name, message, complaint] of [
  [
    'another protocol',
    { hello: { ...hello, protocol: 99 } },
    /protocol 99.*coordinator 4: install the same version/,
  ],
  ['no kind of machine', { hello: { ...hello, machine: '' } }, /kind of machine in 1 to 200 letters/],
  ['no threads', { hello: { ...hello, threads: 0 } }, /1 to 4096 threads, not 0/],
  ['ready before hello', { ready }, /hello first/],
] as const) {
  test(`${name} is refused in words`, async () => {
    const scene = await setUp();
    const { answer } = scene.dial();
    assert.match((await answer(message)).refusal?.reason ?? '', complaint);
    assert.deepEqual(scene.listener.said, []);
  });
}

test('a worker’s machine measures for the others of its kind, which are told before they begin', async () => {
  const scene = await setUp();
  const first = scene.dial();
  assert.equal((await first.answer({ hello })).welcome?.choices, '');
  const second = scene.dial();
  const told = second.answer({ hello });
  first.work.write({ ready });
  const { welcome } = await told;
  assert.equal(welcome?.choices, 'native');
  assert.deepEqual(
    welcome?.shapes.map((shape) => ({ ...shape })),
    invitation.shapes,
  );
});

test('choices without end are refused', async () => {
  const scene = await setUp();
  const { answer } = scene.dial();
  await answer({ hello });
  const { refusal } = await answer({ ready: { ...ready, choices: 'x'.repeat(70_000) } });
  assert.match(refusal?.reason ?? '', /65536 bytes at most/);
});

test('a worker that built another model is refused', async () => {
  const scene = await setUp();
  const { answer } = scene.dial();
  await answer({ hello });
  const { refusal } = await answer({ ready: { ...ready, modelHash: 'another' } });
  assert.match(refusal?.reason ?? '', /another model/);
});

test('a name with control characters cannot reach a terminal', async () => {
  const scene = await setUp();
  const { answer } = scene.dial();
  const { welcome } = await answer({ hello: { ...hello, name: 'a\u001b[2Jb\n' } });
  assert.equal(welcome?.worker, 'a [2Jb-1');
});

test('goodbye and a broken connection both end the membership, once', async () => {
  const scene = await setUp();
  const first = await join(scene);
  let gone = once(scene.listener, 'gone');
  first.work.write({ goodbye: { reason: 'lid closed' } });
  assert.deepEqual(await gone, ['ada-1', 'lid closed']);
  const second = await join(scene);
  gone = once(scene.listener, 'gone');
  second.work.cancel();
  assert.equal((await gone)[0], 'ada-2');
  assert.equal(scene.listener.said.filter(({ name }) => name === 'gone').length, 2);
});

test('a worker that comes back takes the place of what is left of it, and of nobody else', async () => {
  const scene = await setUp();
  const enter = async (process: Buffer) => {
    const { answer, work } = scene.dial();
    assert.ok((await answer({ hello: { ...hello, process } })).welcome);
    const joined = once(scene.listener, 'ready');
    work.write({ ready });
    await joined;
  };
  const one = Buffer.alloc(16, 1);
  for (const process of [one, Buffer.alloc(16, 2), Buffer.alloc(0), Buffer.alloc(0), one])
    await enter(process);
  const said = scene.listener.said.map(({ name, values: [worker] }) =>
    name === 'ready' ? (worker as WorkerSession).id : `${name} ${worker}`,
  );
  assert.deepEqual(said, ['ada-1', 'ada-2', 'ada-3', 'ada-4', 'gone ada-1', 'ada-5']);
  const { refusal } = await scene.dial().answer({ hello: { ...hello, process: Buffer.alloc(65) } });
  assert.match(refusal?.reason ?? '', /names its process in 64 bytes/);
});

test('the end of the run reaches every worker: at work, on its way in, and at the door', async () => {
  const scene = await setUp();
  const working = await join(scene);
  const onItsWay = scene.dial();
  await onItsWay.answer({ hello });
  const told = [working, onItsWay].map(({ work }) => once(work, 'data'));
  scene.service.finish({ reason: 'all done', resumes: false });
  for (const [message] of await Promise.all(told)) assert.equal(message.finish?.reason, 'all done');
  const late = scene.dial();
  const [message]: CoordinatorMessage__Output[] = await once(late.work, 'data');
  assert.equal(message.finish?.reason, 'all done');
});

/** From the last to the first. */
const pieces = piecesOf(invitation.size).reverse();

function part(assignment: number, sum: Float32Array, piece: Piece) {
  const memory = new ChunkMemory(piece.to - piece.from);
  memory.values.set(sum.subarray(piece.from, piece.to));
  return memory.partialSum(assignment, 0, piece, sum.length);
}

const losses = { sums: [1.5, 2.5], targets: [3, 4] };

test('a sum arrives bit for bit with its losses, and another after it on the same call', async () => {
  const scene = await setUp();
  const { client, metadata } = await join(scene);
  const upload = client.Gradients(metadata, () => {});
  for (const assignment of [5, 6]) {
    const sum = Float32Array.from({ length: invitation.size }, (_, i) => Math.fround(assignment / (i + 1)));
    const arrived = once(scene.listener, 'summed');
    const parts: PartialSum[] = pieces.map((piece) => part(assignment, sum, piece));
    assert.equal(await sendAll(upload, [...parts, { assignment, totals: { losses, seconds: 1 } }]), true);
    const [worker, id, counted] = await arrived;
    assert.deepEqual([worker, id], ['ada-1', assignment]);
    assert.deepEqual(scene.listener.sum, sum);
    assert.deepEqual({ ...counted }, losses);
  }
  upload.end();
  const told = scene.listener.said.filter(({ name }) => name === 'summing');
  assert.deepEqual(
    told,
    [5, 6].flatMap((assignment) =>
      pieces.map((piece) => ({
        name: 'summing',
        values: ['ada-1', assignment, piece],
      })),
    ),
  );
});

test('sums may come on a connection of their own, which says no hello and stays as long as the worker', async (context) => {
  context.mock.timers.enable({ apis: ['setInterval'] });
  const scene = await setUp();
  const { metadata } = await join(scene);
  const { client } = scene.dial();
  const upload = client.Gradients(metadata, () => {});
  for (const assignment of [1, 2]) {
    const sum = new Float32Array(invitation.size).fill(assignment);
    const arrived = once(scene.listener, 'summed');
    const parts: PartialSum[] = pieces.map((piece) => part(assignment, sum, piece));
    assert.equal(await sendAll(upload, [...parts, { assignment, totals: { losses, seconds: 1 } }]), true);
    await arrived;
    assert.deepEqual(scene.listener.sum, sum);
    context.mock.timers.tick(60_000); // six times as long as a stranger has
    assert.deepEqual(scene.lines, []);
  }
  upload.end();
});

test('a damaged sum ends the call with the reason and is not counted', async () => {
  const scene = await setUp();
  const { client, metadata } = await join(scene);
  const { chunk } = part(1, new Float32Array(invitation.size), pieces[0]);
  const error = await new Promise<{ code?: number; details?: string } | null>((resolve) => {
    const upload = client.Gradients(metadata, resolve);
    upload.write({ assignment: 1, chunk: { ...chunk, checksum: Number(chunk?.checksum) ^ 1 } });
  });
  assert.equal(error?.code, status.INVALID_ARGUMENT);
  assert.match(error?.details ?? '', /damaged/);
  assert.ok(!scene.listener.said.some(({ name }) => name === 'summed' || name === 'summing'));
});

/** A reader that takes nothing until it is let go on, and everything from then on. */
class StandingReader extends EventEmitter {
  readonly worker: string;
  readonly held: (() => void)[] = [];
  readonly whole: Promise<void>;
  private going = false;
  private pieces = 0;
  private finish = () => {};

  constructor(number: number) {
    super();
    this.worker = `w${number}`;
    this.whole = new Promise((resolve) => {
      this.finish = resolve;
    });
  }

  write(_: object, taken: () => void): boolean {
    if (this.held.push(taken) === 1) this.emit('began');
    if (++this.pieces === pieces.length) this.finish();
    if (this.going) setImmediate(taken);
    return this.going;
  }

  goOn(): void {
    this.going = true;
    for (const taken of this.held) taken();
    this.emit('drain');
  }

  end(): void {}
}

/** The number of the next version that comes whole. */
function wholeVersion(call: EventEmitter, assembler: TensorAssembler): Promise<number> {
  return new Promise((resolve) => {
    const take = (chunk: TensorChunk__Output) => {
      if (!assembler.add(chunk)) return;
      call.off('data', take);
      resolve(chunk.version);
    };
    call.on('data', take);
  });
}

test('a reader gets the weights there are, then each that is published, unharmed by later changes', async () => {
  const scene = await setUp();
  const { client, metadata } = await join(scene);
  scene.weights.fill(1);
  scene.feed.publish(7);
  scene.weights.fill(-1); // the optimiser goes on while the chunks are on their way
  const received = new Float32Array(invitation.size);
  const assembler = new TensorAssembler(received);
  scene.feed.want('ada-1', 7);
  const call = client.Weights({}, metadata);
  call.on('error', () => {});
  const next = () => wholeVersion(call, assembler);
  assert.equal(await next(), 7);
  assert.ok(received.every((value) => value === 1));
  const later = next();
  scene.feed.want('ada-1', 8);
  scene.feed.publish(8);
  assert.equal(await later, 8);
  assert.ok(received.every((value) => value === -1));
});

const memory = SharedMemory.create();
after(() => memory?.close());
const skip = memory === null && 'this system has no files in memory';

/** Two versions of the weights and one place. */
async function sharingScene() {
  assert.ok(memory);
  assert.ok(memory.reserve(invitation.size, 3));
  const tensor = (index: number) => memory.tensor(index, invitation.size);
  const [even, odd, place] = [tensor(0), tensor(1), tensor(2)];
  return { ...(await setUp([place], [even, odd])), even, odd, place };
}

test('a place in shared memory belongs to one worker at a time', { skip }, async () => {
  const scene = await sharingScene();
  assert.equal((await join(scene)).welcome.sharesMemory, false);
  assert.equal((await join(scene, 2)).welcome.sharesMemory, false);
  const first = await join(scene, 1);
  assert.equal(first.welcome.sharesMemory, true);
  assert.equal((await join(scene, 1)).welcome.sharesMemory, false);
  scene.place.take(7); // a sum that is never told
  const gone = once(scene.listener, 'gone');
  first.work.cancel();
  await gone;
  assert.equal((await join(scene, 1)).welcome.sharesMemory, true);
  assert.ok(scene.place.free);
});

test('a sum in shared memory arrives bit for bit, and its place is free after it', { skip }, async () => {
  const scene = await sharingScene();
  const { client, metadata } = await join(scene, 1);
  const upload = client.Gradients(metadata, () => {});
  for (const assignment of [0, 9]) {
    const sum = Float32Array.from({ length: invitation.size }, (_, i) =>
      Math.fround((assignment + 1) / (i + 1)),
    );
    const arrived = once(scene.listener, 'summed');
    scene.place.take(assignment);
    scene.place.write(assignment, 0, sum);
    for (const piece of pieces) upload.write({ assignment, chunk: announce(0, piece, sum.length) });
    upload.write({ assignment, totals: { losses, seconds: 1 } });
    assert.deepEqual((await arrived).slice(0, 2), ['ada-1', assignment]);
    assert.deepEqual(scene.listener.sum, sum);
    assert.ok(scene.place.free);
  }
  upload.end();
});

test('a sum that came as data leaves the place to the one that is in it', { skip }, async () => {
  const scene = await sharingScene();
  const { client, metadata } = await join(scene, 1);
  const upload = client.Gradients(metadata, () => {});
  const arrived = once(scene.listener, 'summed');
  scene.place.take(6);
  upload.write({ assignment: 5, totals: { losses, seconds: 1 } });
  assert.deepEqual((await arrived).slice(0, 2), ['ada-1', 5]);
  assert.ok(scene.place.write(6, 0, new Float32Array(4)), 'it still holds what it took');
  upload.end();
});

test('a sum that its place holds no more has failed, and the worker stays', { skip }, async () => {
  const scene = await sharingScene();
  const { client, metadata } = await join(scene, 1);
  const upload = client.Gradients(metadata, () => {});
  scene.place.take(6);
  const failed = once(scene.listener, 'failed');
  upload.write({ assignment: 5, chunk: announce(0, pieces[0], invitation.size) });
  assert.deepEqual(await failed, ['ada-1', 5, 'its sum is in shared memory no more']);
  assert.ok(!scene.listener.said.some(({ name }) => name === 'summing' || name === 'gone'));
  upload.end();
});

test('a worker without a place that announces a sum is refused', { skip }, async () => {
  const scene = await sharingScene();
  const { client, metadata } = await join(scene);
  const error = await new Promise<{ code?: number } | null>((resolve) => {
    const upload = client.Gradients(metadata, resolve);
    upload.write({ assignment: 1, chunk: announce(0, pieces[0], invitation.size) });
  });
  assert.equal(error?.code, status.INVALID_ARGUMENT);
});

test('readers in shared memory and over the wire get the same weights, also one that comes late', {
  skip,
}, async () => {
  const scene = await sharingScene();
  const reader = (
    metadata: Metadata,
    client: ReturnType<typeof scene.dial>['client'],
    places: SharedTensor[],
  ) => {
    const call = client.Weights({}, metadata);
    call.on('error', () => {});
    const received = [0, 1].map(() => new Float32Array(invitation.size));
    const assemblers = received.map((each, slot) => new TensorAssembler(each, places[slot] ?? null));
    return { received, next: (version: number) => wholeVersion(call, assemblers[version % 2]) };
  };
  const sharer = await join(scene, 1);
  const inside = reader(sharer.metadata, sharer.client, [scene.even, scene.odd]);
  scene.feed.want('ada-1', 4);
  scene.weights.fill(1);
  let told = inside.next(4);
  scene.feed.publish(4);
  assert.equal(await told, 4);
  assert.ok(inside.received[0].every((value) => value === 1));
  // Nobody was sent version 4, of which no copy was made.
  const other = await join(scene);
  const outside = reader(other.metadata, other.client, []);
  scene.feed.want('ada-2', 4);
  assert.equal(await outside.next(4), 4);
  assert.deepEqual(outside.received[0], inside.received[0]);
  told = inside.next(5);
  const also = outside.next(5);
  scene.feed.begin(5, ['ada-1', 'ada-2']);
  scene.weights.fill(2);
  scene.feed.fill(0, invitation.size);
  assert.deepEqual(await Promise.all([told, also]), [5, 5]);
  assert.ok(inside.received[1].every((value) => value === 2));
  assert.deepEqual(outside.received[1], inside.received[1]);
});

test('a version that nobody is expected in is sent to none but those that are given work in it', async () => {
  const scene = await setUp();
  const [first, second] = [await join(scene), await join(scene)].map(({ client, metadata }) => {
    const call = client.Weights({}, metadata);
    call.on('error', () => {});
    const begun: number[] = [];
    call.on('data', ({ offset, version }: TensorChunk__Output) => {
      if (offset === 0) begun.push(version);
    });
    const assembler = new TensorAssembler(new Float32Array(invitation.size));
    return { begun, next: () => wholeVersion(call, assembler) };
  });
  scene.feed.want('ada-1', 3);
  scene.feed.publish(3);
  assert.equal(await first.next(), 3);
  scene.feed.begin(4);
  scene.feed.fill(0, invitation.size);
  scene.feed.want('ada-2', 4);
  assert.equal(await second.next(), 4);
  scene.feed.want('ada-1', 5);
  scene.feed.begin(5);
  scene.feed.fill(0, invitation.size);
  assert.equal(await first.next(), 5);
  assert.deepEqual(first.begun, [3, 5]);
});

test('of many readers a few are sent the weights at once, and those that stand still hold up nobody', async () => {
  const readers = Array.from({ length: 20 }, (_, i) => new StandingReader(i));
  const feed = new WeightsFeed(new Float32Array(invitation.size), () => {});
  for (const { worker } of readers) feed.want(worker, 0);
  const over = readers.map((reader) => feed.subscribe(reader.worker, reader, false));
  feed.publish(0);
  const begun = () => readers.filter(({ held }) => held.length > 0).length;
  await once(readers[7], 'began');
  await settled();
  assert.equal(begun(), 8);
  const ninth = once(readers[8], 'began');
  readers[3].goOn();
  await ninth;
  await settled();
  assert.equal(begun(), 9);
  await once(readers[19], 'began'); // the others stand still, and have had their time
  for (const reader of readers) reader.goOn();
  await Promise.all(readers.map(({ whole }) => whole));
  feed.close();
  await Promise.all(over);
});

test('a worker without work is sent no weights; one whose turn it is to be is sent them before it asks', async () => {
  const scene = await setUp();
  const first = await join(scene);
  const second = await join(scene);
  const versions: Record<string, number[]> = { first: [], second: [] };
  const listen = (name: 'first' | 'second', { client, metadata }: typeof first) => {
    const call = client.Weights({}, metadata);
    call.on('error', () => {});
    call.on('data', (chunk: TensorChunk__Output) => {
      if (chunk.offset !== 0) return;
      versions[name].push(chunk.version);
      call.emit('seen', chunk.version);
    });
    return call;
  };
  const [one, two] = [listen('first', first), listen('second', second)];
  scene.feed.publish(0);
  let seen = once(one, 'seen');
  scene.feed.want('ada-1', 0);
  await seen;
  seen = once(one, 'seen');
  scene.feed.begin(1, ['ada-1']);
  scene.feed.fill(0, invitation.size);
  await seen;
  scene.feed.publish(2);
  const late = once(two, 'seen');
  scene.feed.want('ada-2', 2);
  assert.deepEqual(await late, [2]);
  assert.deepEqual(versions, { first: [0, 1], second: [2] });
});
