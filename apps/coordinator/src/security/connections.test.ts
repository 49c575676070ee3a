import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { createServer } from 'node:http2';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { Connections } from './connections.js';

const TICK = 250;

/** A bare HTTP/2 server in plain text under watch, whose clock the test turns. */
async function setUp(context: TestContext) {
  context.mock.timers.enable({ apis: ['setInterval'] });
  const lines: string[] = [];
  const told = new EventEmitter();
  const connections = new Connections((peer, reason) => {
    lines.push(`${peer} ${reason}`);
    told.emit('line', lines.length);
  });
  const server = createServer();
  connections.watch(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const sockets: Socket[] = [];
  context.after(() => {
    for (const socket of sockets) socket.destroy();
    connections.close();
    server.close();
  });
  const call = async () => {
    const accepted = once(server, 'connection');
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    sockets.push(socket);
    socket.resume();
    await accepted;
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    return { socket, closed, peer: `127.0.0.1:${socket.localPort}` };
  };
  const pass = (ticks: number) => {
    for (let i = 0; i < ticks; i++) context.mock.timers.tick(TICK);
  };
  return { connections, lines, told, call, pass };
}

test('who says nothing is hung up on after ten seconds, with one line', async (context) => {
  const { lines, call, pass } = await setUp(context);
  const { closed, peer } = await call();
  pass(40);
  assert.deepEqual(lines, []);
  pass(1);
  await closed;
  assert.deepEqual(lines, [`${peer} it did not say hello in 10 s`]);
});

test('a process that had no time for a minute hangs up on nobody for it', async (context) => {
  const { lines, call } = await setUp(context);
  await call();
  context.mock.timers.tick(TICK);
  assert.deepEqual(lines, []);
});

test('who has the token must say hello too; a member may be silent, until it has left', async (context) => {
  const { connections, lines, call, pass } = await setUp(context);
  const [slow, member] = [await call(), await call()];
  for (const { peer } of [slow, member]) connections.invited(peer);
  connections.joined(member.peer);
  pass(41);
  await slow.closed;
  assert.deepEqual(lines, [`${slow.peer} it did not say hello in 10 s`]);
  pass(1000);
  assert.equal(connections.size, 1);
  connections.left(member.peer);
  pass(13);
  await member.closed;
  assert.equal(lines.length, 1, 'that a worker has left is no refusal');
});

test('a connection that carries two parts stays until both have left', async (context) => {
  const { connections, call, pass } = await setUp(context);
  const { peer, closed } = await call();
  connections.joined(peer);
  connections.joined(peer);
  connections.left(peer);
  pass(100);
  assert.equal(connections.size, 1);
  connections.left(peer);
  pass(13);
  await closed;
});

test('a connection is told of once, whatever it does, and has time to read the answer', async (context) => {
  const { connections, lines, call, pass } = await setUp(context);
  const { peer, closed, socket } = await call();
  connections.refuse(peer, 'no');
  connections.refuse(peer, 'no again');
  pass(10);
  assert.equal(socket.destroyed, false);
  pass(3);
  await closed;
  assert.deepEqual(lines, [`${peer} no`]);
});

test('at most 256 callers of an address wait to be known; members do not count', async (context) => {
  const { connections, lines, told, call } = await setUp(context);
  const member = await call();
  connections.joined(member.peer);
  for (let i = 0; i < 256; i++) await call();
  assert.deepEqual(lines, []);
  const told257 = once(told, 'line');
  const { closed, peer } = await call();
  await told257;
  await closed;
  assert.deepEqual(lines, [`${peer} too many callers are waiting to be known`]);
  assert.equal(connections.size, 257);
});
