import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { afterEach, test } from 'node:test';
import { Authority, createServer, listen, status, Training, type TrainingHandlers } from '@manyhands/proto';
import { Membership } from './membership.js';

const host = '127.0.0.1';
const token = 'a-token';
const who = { name: 'ada', software: '1' };
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** A coordinator that gives certificates for so many days, or refuses with a code, and counts the requests. */
async function coordinator(answer: { days: number } | { code: status }) {
  const { authority } = await Authority.create();
  const server = createServer(20);
  const seen = { requests: 0 };
  const refuse = () => assert.fail('nobody works here');
  const handlers: TrainingHandlers = {
    async Enroll({ request }, callback) {
      seen.requests += 1;
      assert.equal(request.token, token);
      if ('code' in answer) return callback({ code: answer.code, details: 'no' });
      callback(null, { certificate: await authority.forWorker('ada-1', request.request, answer.days) });
    },
    Work: refuse,
    Weights: refuse,
    Gradients: refuse,
  };
  server.addService(Training.service, handlers);
  const security = { ...(await authority.forCoordinator()), authority: authority.certificate };
  const port = await listen(server, host, 0, { security });
  closers.push(() => server.forceShutdown());
  return { seen, membership: new Membership({ host, port, token, ca: authority.fingerprint }, who) };
}

test('in plain text the token is shown', async () => {
  const membership = new Membership({ host, port: 1, token }, who);
  assert.deepEqual(await membership.show(), { credentials: { kind: 'token', token } });
  assert.equal(membership.renew(), false);
});

test('the token is given once, and its certificate shown ever after', async () => {
  const { seen, membership } = await coordinator({ days: 90 });
  const first = await membership.show();
  assert.deepEqual(await membership.show(), first);
  assert.equal(seen.requests, 1);
  assert.ok('credentials' in first && first.credentials.kind === 'certificate');
  assert.ok(!JSON.stringify(first).includes(token));
});

test('a certificate that ends soon is not shown again', async () => {
  const { seen, membership } = await coordinator({ days: 0.5 });
  await membership.show();
  await membership.show();
  assert.equal(seen.requests, 2);
});

test('one that is not taken any more is given up for another; one that was never taken is not', async () => {
  const { seen, membership } = await coordinator({ days: 90 });
  await membership.show();
  assert.equal(membership.renew(), false);
  await membership.show();
  await membership.show();
  assert.equal(membership.renew(), true);
  await membership.show();
  assert.equal(seen.requests, 3);
});

for (const [code, kind] of [
  [status.UNAUTHENTICATED, 'refused'],
  [status.FAILED_PRECONDITION, 'refused'],
  [status.UNIMPLEMENTED, 'refused'],
  [status.RESOURCE_EXHAUSTED, 'lost'],
  [status.UNAVAILABLE, 'lost'],
] as const) {
  test(`an answer of ${status[code]} is ${kind}`, async () => {
    const { membership } = await coordinator({ code });
    const end = await membership.show();
    assert.equal('kind' in end && end.kind, kind);
  });
}

test('where nobody answers, or hangs up, is worth another try; what speaks no TLS is not', async () => {
  const ca = 'a'.repeat(64);
  const server = createTcpServer((socket) => {
    socket.on('error', () => {}).resume();
    if (greeting === '') socket.destroy();
    else socket.end(greeting);
  });
  let greeting = '';
  server.listen(0, host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const ask = async () => {
    const end = await new Membership({ host, port, token, ca }, who).show();
    return 'kind' in end && end.kind;
  };
  assert.equal(await ask(), 'lost');
  greeting = 'HTTP/1.1 400 Bad Request\r\n\r\n';
  assert.equal(await ask(), 'refused');
  await new Promise((resolve) => server.close(resolve));
  assert.equal(await ask(), 'lost');
});
