import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { networkInterfaces } from 'node:os';
import { afterEach, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import multicast from 'multicast-dns';
import { type Announcement, announceRun, DiscoveryError, findRun } from './discovery.js';

/* On the loopback interface, and a port that nobody else looks at. */

const port = await freePort();
const lan = { interface: '127.0.0.1', port };
const token = 'a-token-that-nobody-guesses';
const ca = 'ab'.repeat(32);
const whale: Announcement = { name: 'whale', addresses: ['10.0.0.1', '127.0.0.1'], port: 7070, ca };

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function freePort(): Promise<number> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  return port;
}

const refuse = (sentence: string) => assert.fail(sentence);

async function announce(changes: Partial<Announcement> = {}, secret = token) {
  const { close } = await announceRun({ ...whale, ...changes }, secret, refuse, lan);
  closers.push(close);
}

/** Hears all that is said on this network, and may say what it likes. */
async function stranger() {
  const socket = multicast({ ...lan, bind: '0.0.0.0' });
  closers.push(() => new Promise<void>((closed) => socket.destroy(closed)));
  await once(socket, 'ready');
  return socket;
}

const look = (more: { ca?: string; patience?: number } = {}) =>
  findRun({ token, ...(more.ca && { ca: more.ca }) }, { patience: 5000, ...more, ...lan });

test('a run is found by its token, at the address that the answer came from', async () => {
  const [external] = Object.values(networkInterfaces()).flatMap((list) =>
    (list ?? []).flatMap(({ internal, family, address }) =>
      !internal && family === 'IPv4' ? [address] : [],
    ),
  );
  await announce({ addresses: ['127.0.0.1', ...(external ? [external] : [])] });
  await announce({ name: 'other', port: 7071, ca: 'cd'.repeat(32) }, 'another-token');
  const { host, ...found } = await look();
  assert.ok(host === '127.0.0.1' || host === external, host);
  assert.deepEqual(found, { port: 7070, token, ca });
});

test('one that was started before its coordinator finds it when it is there', async () => {
  const looking = look();
  const socket = await stranger();
  await once(socket, 'query');
  await announce();
  assert.equal((await looking).port, 7070);
});

test('the token is not said', async () => {
  const socket = await stranger();
  const said: string[] = [];
  socket.on('response', (packet) => said.push(JSON.stringify(packet)));
  await announce();
  await look();
  assert.ok(said.length > 0 && said.join().includes(Buffer.from(`ca=${ca}`).toJSON().data.join()));
  const bytes = Buffer.from(token).toJSON().data.join();
  for (const text of said) assert.ok(!text.includes(token) && !text.includes(bytes), text);
});

test('runs of other tokens, and of another authority than the one that is known, are none', async () => {
  await announce({}, 'another-token');
  await announce({ ca: 'cd'.repeat(32), name: 'third' }, 'a-third-token');
  await assert.rejects(
    look({ patience: 1500 }),
    (error) =>
      error instanceof DiscoveryError &&
      /in 1.5 s \(of 2 that answered, none has this token\)/.test(error.message),
  );
  await announce();
  await assert.rejects(look({ patience: 1500, ca: 'ef'.repeat(32) }), /none has this token/);
  assert.equal((await look({ ca })).ca, ca);
});

test('two runs with one token are refused, both named', async () => {
  await announce();
  await announce({ port: 7071 });
  await assert.rejects(
    look(),
    /2 runs on this network have this token \(.*:707[01], .*:707[01]\): give the whole join line/,
  );
});

test('whatever a stranger makes of what it heard proves nothing', async () => {
  const socket = await stranger();
  const heard = once(socket, 'response');
  await announce();
  await look();
  const [{ answers, additionals }] = await heard;
  for (const close of closers.splice(0)) await close();
  const forger = await stranger();
  type Said = { type: string; name: string; data: unknown };
  const lies: ((record: Said) => Said | null)[] = [
    (record) =>
      record.type === 'SRV' ? { ...record, data: { ...(record.data as object), port: 6666 } } : record,
    (record) => (record.type === 'A' ? { ...record, data: '10.6.6.6' } : record),
    (record) =>
      record.type === 'TXT'
        ? { ...record, data: (record.data as Buffer[]).map((text) => String(text).replaceAll('ab', 'cd')) }
        : record,
    (record) => (record.type === 'TXT' ? { ...record, data: [`ca=${ca}`] } : record),
    (record) => (record.type === 'TXT' ? null : record),
    (record) => (record.type === 'A' ? null : record),
  ];
  forger.on('query', () => {
    for (const lie of lies) {
      const told = (list: Said[]) => list.map(lie).filter((record) => record !== null);
      forger.respond({ answers: told(answers), additionals: told(additionals) } as never);
    }
  });
  await assert.rejects(look({ patience: 1500 }), /none has this token/);
});

test('noise neither stops a coordinator that is announced nor a worker that looks; a flood is told', async () => {
  await announce();
  const socket = createSocket('udp4');
  closers.push(() => socket.close());
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  socket.setMulticastInterface('127.0.0.1');
  const noise = [Buffer.alloc(0), Buffer.from('hello'), Buffer.alloc(9000, 0xc0), Buffer.alloc(12, 0xff)];
  const send = (message: Buffer) => new Promise((sent) => socket.send(message, port, '224.0.0.251', sent));
  for (const message of noise) await send(message);
  assert.equal((await look()).port, 7070);
  const name = 'flood._manyhands._tcp.local';
  const flood = [
    { name, type: 'SRV' as const, data: { port: 1, target: 'flood.local' } },
    { name, type: 'TXT' as const, data: [`ca=${'ef'.repeat(32)}`, 'proof=none'] },
    { name: 'flood.local', type: 'A' as const, data: '10.6.6.6' },
  ];
  const forger = await stranger();
  const looking = new AbortController();
  const ended = assert
    .rejects(look({ ca: 'ef'.repeat(32), patience: 20_000 }), /somebody floods this network with runs/)
    .finally(() => looking.abort());
  while (!looking.signal.aborted) {
    forger.respond(flood);
    await nextTurn();
  }
  await ended;
});
