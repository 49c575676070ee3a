import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { connect, createServer, listen, status } from '@manyhands/proto';
import { service } from 'grpc-health-check';
import { addHealth } from './health.js';

async function serve(context: TestContext, reflection = false) {
  const server = createServer(20);
  const health = addHealth(server, { reflection });
  const port = await listen(server, '127.0.0.1', 0);
  const { client } = connect({ host: '127.0.0.1', port }, { kind: 'token', token: 'none' });
  context.after(() => {
    client.close();
    server.forceShutdown();
  });
  const { Check, Watch } = service;
  const check = (name: string) =>
    new Promise<unknown>((resolve) => {
      client.makeUnaryRequest(
        Check.path,
        Check.requestSerialize,
        Check.responseDeserialize,
        { service: name },
        (error, reply) => resolve(error === null ? reply : error.code),
      );
    });
  const watch = () =>
    client.makeServerStreamRequest(Watch.path, Watch.requestSerialize, Watch.responseDeserialize, {
      service: '',
    });
  /** One request of grpc.reflection.v1, as bytes, and its answer as text. */
  const reflect = async (request: Buffer): Promise<string> => {
    const call = client.makeBidiStreamRequest(
      '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
      (bytes: Buffer) => bytes,
      (bytes) => bytes,
    );
    call.write(request);
    call.end();
    const [reply] = await once(call, 'data');
    return reply.toString('latin1');
  };
  return { health, check, watch, reflect };
}

test('SERVING while the run is open, as a whole and for the training service', async (context) => {
  const { health, check } = await serve(context);
  for (const name of ['', 'manyhands.v1.Training']) {
    assert.deepEqual(await check(name), { status: 'NOT_SERVING' });
  }
  health.open();
  for (const name of ['', 'manyhands.v1.Training'])
    assert.deepEqual(await check(name), { status: 'SERVING' });
  health.ended();
  for (const name of ['', 'manyhands.v1.Training']) {
    assert.deepEqual(await check(name), { status: 'NOT_SERVING' });
  }
});

test('a service that is not there is not found', async (context) => {
  const { check } = await serve(context);
  assert.equal(await check('other.v1.Service'), status.NOT_FOUND);
});

test('whoever watches is told of each change', async (context) => {
  const { health, watch } = await serve(context);
  const call = watch();
  call.on('error', () => {}); // cancelled below
  assert.deepEqual(await once(call, 'data'), [{ status: 'NOT_SERVING' }]);
  health.open();
  assert.deepEqual(await once(call, 'data'), [{ status: 'SERVING' }]);
  health.ended();
  assert.deepEqual(await once(call, 'data'), [{ status: 'NOT_SERVING' }]);
  call.cancel();
});

/** `list_services` is field 7 of a request, `file_containing_symbol` field 4; both are strings (reflection.proto). */
const field = (number: number, text: string) =>
  Buffer.concat([Buffer.from([(number << 3) | 2, text.length]), Buffer.from(text)]);

test('reflection tells the training service and its file, where it was asked for', async (context) => {
  const { reflect } = await serve(context, true);
  assert.match(await reflect(field(7, '*')), /manyhands\.v1\.Training/);
  const file = await reflect(field(4, 'manyhands.v1.Training'));
  for (const name of ['WorkerMessage', 'CoordinatorMessage', 'Gradients', 'Weights']) {
    assert.ok(file.includes(name), name);
  }
});

test('without it there is no reflection', async (context) => {
  const { reflect } = await serve(context);
  await assert.rejects(reflect(field(7, '*')), { code: status.UNIMPLEMENTED });
});
