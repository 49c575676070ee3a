import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect as http2Connect } from 'node:http2';
import { connect as tcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, test } from 'node:test';
import { connect as tls } from 'node:tls';
import {
  Authority,
  ChunkMemory,
  type Credentials,
  connect,
  createRequest,
  EnrolmentError,
  enrol,
  type Identity,
  listen,
  PROTOCOL_VERSION,
  piecesOf,
  sendAll,
  status,
} from '@manyhands/proto';
import { Choices } from '../choices.js';
import { createService, type ServiceListener } from '../service.js';
import { JoinToken, type TokenLimits } from '../token.js';
import { WeightsFeed } from '../weights-feed.js';
import { Door } from './door.js';

/* Who does not belong to a run: raw sockets, plain TLS and HTTP/2, and gRPC, against a coordinator that works. */

const root = mkdtempSync(join(tmpdir(), 'manyhands-strangers-'));
after(() => rmSync(root, { recursive: true, force: true }));

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

const invitation = {
  run: 'test',
  model: '{}',
  modelHash: 'the-model',
  seed: 1,
  reproducible: true,
  heartbeatSeconds: 1,
  dataHash: 'the-data',
  shapes: [],
  recompute: false,
  size: 1000,
};
const host = '127.0.0.1';
const hello = { protocol: PROTOCOL_VERSION, software: '1', name: 'ada', threads: 2, machine: 'a machine' };
const ready = { backend: 'cpu', mode: '', device: '', modelHash: 'the-model', hasData: false, choices: '' };
const losses = { sums: [1], targets: [1] };

/** A coordinator's service over TLS, and what is told of callers. */
async function setUp(limits: TokenLimits = {}) {
  const out = mkdtempSync(join(root, 'run-'));
  const { authority } = await Authority.create();
  const token = await JoinToken.open(out, limits);
  const events = new EventEmitter();
  const barred = new Map<string, string>();
  const lines: string[] = [];
  const door = new Door(token, { kind: 'certificate', authority }, (line) => {
    lines.push(line);
    events.emit('line', line);
  });
  const tell = (name: string) => (worker: string) => void events.emit(name, worker);
  const listener: ServiceListener = {
    ready: ({ id }) => void events.emit('ready', id),
    heard: tell('heard'),
    summing: () => {},
    unwelcome: (identity) => barred.get(identity) ?? null,
    summed: tell('summed'),
    evaluated: () => {},
    failed: () => {},
    gone: tell('gone'),
    received: () => {},
  };
  const feed = new WeightsFeed(new Float32Array(invitation.size), () => {});
  const choices = new Choices(out, false, true);
  const service = createService({
    door,
    invitation,
    keepaliveSeconds: 20,
    feed,
    places: [],
    choices,
    listener,
  });
  const port = await listen(service.server, host, 0, {
    security: { ...(await authority.forCoordinator()), authority: authority.certificate },
    watch: (server) => door.watch(server),
  });
  closers.push(() => {
    service.server.forceShutdown();
    door.close();
  });
  const line = async () => (await once(events, 'line'))[0] as string;
  return { out, authority, token, events, barred, lines, line, port };
}

type Scene = Awaited<ReturnType<typeof setUp>>;

const enrolIn = ({ port, token, authority }: Scene, secret = token.secret) =>
  enrol({ host, port, token: secret, ca: authority.fingerprint }, { name: 'ada', software: '1' });

function dial({ port }: Scene, credentials: Credentials) {
  const { client, metadata } = connect({ host, port }, credentials);
  closers.push(() => client.close());
  return { client, metadata };
}

/** A worker that takes part. */
async function takePart(scene: Scene, identity: Identity) {
  const { client, metadata } = dial(scene, identity);
  const work = client.Work(metadata);
  work.on('error', () => {});
  const welcomed = once(work, 'data');
  work.write({ hello });
  const [{ welcome, refusal }] = await welcomed;
  assert.ok(welcome, refusal?.reason);
  const joined = once(scene.events, 'ready');
  work.write({ ready });
  await joined;
  metadata.set('worker', welcome.worker);
  return { client, metadata, work, id: String(welcome.worker) };
}

/** A sum of a worker arrives: the run goes on. */
async function assertAtWork(scene: Scene, { client, metadata, id }: Awaited<ReturnType<typeof takePart>>) {
  const upload = client.Gradients(metadata, () => {});
  const [piece] = piecesOf(invitation.size);
  const memory = new ChunkMemory(invitation.size);
  const arrived = once(scene.events, 'summed');
  await sendAll(upload, [
    memory.partialSum(1, 0, piece, invitation.size),
    { assignment: 1, totals: { losses, seconds: 1 } },
  ]);
  assert.deepEqual(await arrived, [id]);
  upload.end();
}

/** What a call ends with. */
const ended = async (call: EventEmitter): Promise<{ code: number; details: string }> =>
  (await once(call, 'error'))[0];

const closed = (socket: EventEmitter) => {
  socket.on('error', () => {});
  return new Promise((resolve) => socket.on('close', resolve));
};

async function expiredIdentity({ authority }: Scene): Promise<Identity> {
  const { key, request } = await createRequest();
  const certificate = new X509Certificate(await authority.forWorker('old', request, -1)).toString();
  return { kind: 'certificate', authority: authority.certificate, own: { key, certificate } };
}

/** A caller, and what the log says of it. */
const strangers: Record<string, [call: (scene: Scene) => Promise<unknown>, line: RegExp]> = {
  'a port scanner that connects and leaves': [
    async ({ port }) => {
      const socket = tcp(port, host);
      await once(socket, 'connect');
      socket.end();
      await closed(socket);
    },
    /hung up before it said what it wants/,
  ],
  'a port scanner that resets': [
    async ({ port }) => {
      const socket = tcp(port, host);
      await once(socket, 'connect');
      socket.resetAndDestroy();
    },
    /hung up before it said what it wants/,
  ],
  'a browser in plain text': [
    async ({ port }) => {
      const socket = tcp(port, host).on('connect', () => socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'));
      await closed(socket);
    },
    /speaks plain text/,
  ],
  'a worker in plain text': [
    async (scene) => {
      const { client, metadata } = dial(scene, { kind: 'token', token: scene.token.secret });
      const { code } = await ended(client.Work(metadata));
      assert.equal(code, status.UNAVAILABLE);
      client.close();
    },
    /speaks plain text/,
  ],
  noise: [
    async ({ port }) => {
      const socket = tcp(port, host).on('connect', () => socket.write(Buffer.alloc(5000, 0xa7)));
      await closed(socket);
    },
    /speaks plain text|handshake failed/,
  ],
  'TLS 1.2': [
    async ({ port }) => {
      await closed(tls({ port, host, maxVersion: 'TLSv1.2', rejectUnauthorized: false }));
    },
    /older TLS than 1\.3/,
  ],
  'TLS with HTTP/1.1': [
    async ({ port }) => {
      const socket = tls({ port, host, rejectUnauthorized: false });
      socket.on('secureConnect', () => socket.write('GET / HTTP/1.1\r\n\r\n'));
      await closed(socket);
    },
    /does not speak HTTP\/2/,
  ],
  'TLS with noise after it': [
    async ({ port }) => {
      const socket = tls({ port, host, rejectUnauthorized: false, ALPNProtocols: ['h2'] });
      socket.on('secureConnect', () => socket.end('noise '.repeat(20)));
      socket.resume();
      await closed(socket);
    },
    /does not speak HTTP\/2/,
  ],
  'HTTP/2 without gRPC': [
    async ({ port }) => {
      const session = http2Connect(`https://${host}:${port}`, { rejectUnauthorized: false });
      const request = session.request({ ':path': '/' });
      const [headers] = await once(request, 'response');
      assert.equal(headers[':status'], 415);
      session.destroy();
    },
    /hung up before it said what it wants/,
  ],
  'a wrong token': [
    async (scene) => {
      await assert.rejects(
        enrolIn(scene, 'a-guess'),
        (error) =>
          error instanceof EnrolmentError && error.final && /does not belong to this run/.test(error.message),
      );
    },
    /the token does not belong to this run/,
  ],
  'a worker without a certificate': [
    async (scene) => {
      const credentials = { kind: 'certificate', authority: scene.authority.certificate, own: null } as const;
      const { client, metadata } = dial(scene, credentials);
      metadata.set('authorization', `Bearer ${scene.token.secret}`);
      assert.equal((await ended(client.Work(metadata))).code, status.UNAUTHENTICATED);
      metadata.set('worker', 'ada-1');
      assert.equal((await ended(client.Weights({}, metadata))).code, status.UNAUTHENTICATED);
      const code = await new Promise((resolve) =>
        client.Gradients(metadata, (error) => resolve(error?.code)),
      );
      assert.equal(code, status.UNAUTHENTICATED);
    },
    /no valid certificate of this run/,
  ],
  'an expired certificate': [
    async (scene) => {
      const { client, metadata } = dial(scene, await expiredIdentity(scene));
      assert.equal((await ended(client.Work(metadata))).code, status.UNAUTHENTICATED);
    },
    /its certificate has expired/,
  ],
  'a worker of another run': [
    async (scene) => {
      const { authority } = await Authority.create();
      const { key, request } = await createRequest();
      const certificate = new X509Certificate(await authority.forWorker('ada', request)).toString();
      const own = { key, certificate };
      const { client, metadata } = dial(scene, {
        kind: 'certificate',
        authority: scene.authority.certificate,
        own,
      });
      assert.equal((await ended(client.Work(metadata))).code, status.UNAUTHENTICATED);
    },
    /its certificate is not one of this run's workers/,
  ],
  'a worker of another protocol version that enrols': [
    async (scene) => {
      const credentials = { kind: 'certificate', authority: scene.authority.certificate, own: null } as const;
      const { client, metadata } = dial(scene, credentials);
      const message = { protocol: 99, software: '9\u001b[2J', token: scene.token.secret };
      const error = await new Promise<{ code: number; details: string } | null>((resolve) =>
        client.Enroll(message, metadata, resolve),
      );
      assert.equal(error?.code, status.FAILED_PRECONDITION);
    },
    /speaks protocol 99 \(version 9 \[2J\) and the coordinator \d+: install the same version/,
  ],
  'a worker of another protocol version that has enrolled': [
    async (scene) => {
      const { client, metadata } = dial(scene, await enrolIn(scene));
      const work = client.Work(metadata);
      work.on('error', () => {});
      work.write({ hello: { ...hello, protocol: 99 } });
      const [{ refusal }] = await once(work, 'data');
      assert.match(refusal.reason, /install the same version/);
    },
    /speaks protocol 99/,
  ],
};

for (const [name, [call, expected]] of Object.entries(strangers)) {
  test(`${name} is refused with one line, and the run goes on`, async () => {
    const scene = await setUp();
    const worker = await takePart(scene, await enrolIn(scene));
    assert.equal(scene.lines.length, 0, 'who belongs to the run needs no line');
    const told = scene.line();
    await call(scene);
    await told;
    await assertAtWork(scene, worker);
    assert.equal(scene.lines.length, 1, scene.lines.join('\n'));
    assert.match(scene.lines[0], /^127\.0\.0\.1:\d+ was refused: /);
    assert.match(scene.lines[0], expected);
    assert.ok(!scene.lines[0].includes(scene.token.secret));
  });
}

test('a certificate opens the work of its own name only', { timeout: 30_000 }, async () => {
  const scene = await setUp();
  const ada = await takePart(scene, await enrolIn(scene));
  const eve = await takePart(scene, await enrolIn(scene));
  const told = scene.line();
  eve.metadata.set('worker', ada.id);
  assert.equal((await ended(eve.client.Weights({}, eve.metadata))).code, status.UNAUTHENTICATED);
  const code = await new Promise((resolve) =>
    eve.client.Gradients(eve.metadata, (error) => resolve(error?.code)),
  );
  assert.equal(code, status.UNAUTHENTICATED);
  assert.match(await told, /only a worker of this run may read its weights/);
  await assertAtWork(scene, ada);
});

test('a worker comes back with its certificate when the token is gone, and takes its own place', {
  timeout: 30_000,
}, async () => {
  const scene = await setUp({ joins: 1 });
  const identity = await enrolIn(scene);
  const first = await takePart(scene, identity);
  await assert.rejects(enrolIn(scene), /as many workers have joined as the token allows/);
  rmSync(join(scene.out, 'join-token'));
  await assert.rejects(
    enrol(
      { host, port: scene.port, token: 'x', ca: scene.authority.fingerprint },
      { name: '', software: '' },
    ),
    /was revoked/,
  );
  const gone = once(scene.events, 'gone');
  const second = await takePart(scene, identity);
  assert.deepEqual(await gone, [first.id]);
  assert.notEqual(second.id, first.id);
  await assertAtWork(scene, second);
  assert.equal(new X509Certificate(identity.own.certificate).subject, `CN=${second.id.replace(/-\d+$/, '')}`);
});

test('an expired token joins nobody', async () => {
  const scene = await setUp({ ttl: -1 });
  await assert.rejects(enrolIn(scene), /the token has expired/);
});

test('a request that is none is refused, and costs no certificate', async () => {
  const scene = await setUp();
  const credentials = { kind: 'certificate', authority: scene.authority.certificate, own: null } as const;
  const { client, metadata } = dial(scene, credentials);
  const message = {
    protocol: PROTOCOL_VERSION,
    token: scene.token.secret,
    name: 'x',
    request: Buffer.from('noise'),
  };
  const told = scene.line();
  const error = await new Promise<{ code: number } | null>((resolve) =>
    client.Enroll(message, metadata, resolve),
  );
  assert.equal(error?.code, status.INVALID_ARGUMENT);
  assert.match(await told, /not one for an EC P-256 key/);
});

test('after many guesses from an address not even the token is looked at there', async () => {
  const scene = await setUp();
  for (let i = 0; i < 10; i++) await assert.rejects(enrolIn(scene, `guess-${i}`), /does not belong/);
  await assert.rejects(
    enrolIn(scene),
    (error) => error instanceof EnrolmentError && !error.final && /too many wrong tokens/.test(error.message),
  );
});

test('a caller that sends much before it is known is hung up on', async () => {
  const scene = await setUp();
  const session = http2Connect(`https://${host}:${scene.port}`, { rejectUnauthorized: false });
  session.on('error', () => {});
  const request = session.request({
    ':path': '/manyhands.v1.Training/Enroll',
    ':method': 'POST',
    'content-type': 'application/grpc',
  });
  request.on('error', () => {});
  request.write(Buffer.from([0, 0, 0x0f, 0, 0]));
  request.write(Buffer.alloc(900_000));
  const told = scene.line();
  await once(session, 'close');
  assert.match(await told, /sent too much before it said hello/);
});

test('a name cannot carry anything but a name into a certificate or a log', async () => {
  const scene = await setUp();
  const { own } = await enrol(
    { host, port: scene.port, token: scene.token.secret, ca: scene.authority.fingerprint },
    { name: 'ada\n, O=root/CN=coordinator\u001b[2J', software: '1' },
  );
  assert.match(
    new X509Certificate(own.certificate).subject,
    /^CN=ada___O_root_CN_coordinator__2J-[0-9a-f]{10}$/,
  );
});

test('what a worker is given holds no key of the run', async () => {
  const scene = await setUp();
  const identity = await enrolIn(scene);
  assert.ok(!JSON.stringify([identity.authority, identity.own.certificate]).includes('PRIVATE'));
});

test('a coordinator with another authority is not spoken to', async () => {
  const scene = await setUp();
  const { fingerprint } = (await Authority.create()).authority;
  const join = { host, port: scene.port, token: scene.token.secret, ca: fingerprint };
  await assert.rejects(
    enrol(join, { name: 'ada', software: '1' }),
    (error) =>
      error instanceof EnrolmentError &&
      error.final &&
      /signed by another authority/.test(error.message) &&
      !error.message.includes(scene.token.secret),
  );
  assert.deepEqual(scene.lines, []);
});

test('a worker that is quarantined is told why at its hello, and others of the run are not', async () => {
  const scene = await setUp();
  const [one, other] = [await enrolIn(scene), await enrolIn(scene)];
  await takePart(scene, one);
  scene.barred.set(
    new X509Certificate(one.own.certificate).subject.replace('CN=', ''),
    'it is quarantined: it lied',
  );
  const { client, metadata } = dial(scene, one);
  const work = client.Work(metadata);
  work.on('error', () => {});
  const answered = once(work, 'data');
  work.write({ hello });
  assert.equal((await answered)[0].refusal?.reason, 'it is quarantined: it lied');
  await assertAtWork(scene, await takePart(scene, other));
});
