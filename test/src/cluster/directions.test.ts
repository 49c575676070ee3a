import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { createModel, type ModelConfig, modelHash } from '@manyhands/core/model';
import {
  CHUNK_BYTES,
  ChunkMemory,
  createServer,
  formatJoinUrl,
  listen,
  piecesOf,
  readChunk,
  type Server,
  sendAll,
  status,
  Training,
  type TrainingHandlers,
} from '@manyhands/proto';
import { startWorker } from '@manyhands/worker';
import { fullLine } from './lines.js';

/*
 * Weights and sums that are larger than what the sockets between the two hold. The coordinator here says what the true
 * one says to a worker that is late.
 */

/** 46 MB, nearly all of it in the table of embeddings, which is final last: the sum then leaves at once. */
const config: ModelConfig = {
  arch: 'gpt2',
  layers: 1,
  heads: 1,
  kvHeads: 1,
  channels: 512,
  hidden: 16,
  context: 4,
  vocab: 16_384,
  dropout: 0,
  tieEmbeddings: true,
  activation: 'gelu_new',
  epsilon: 1e-5,
  ropeTheta: 10_000,
};
const model = createModel(config);
const pieces = piecesOf(model.size);

function* version(number: number) {
  for (const piece of pieces) {
    yield new ChunkMemory(piece.to - piece.from).chunk(number, piece, model.size);
  }
}

/**
 * Tells how many versions of the weights have left, and how many pieces of sums have come.
 * @param beat is called at each heartbeat
 */
function lateScene(beat: () => void = () => {}) {
  const counts = { versions: 0, pieces: 0 };
  const peers = { weights: '', sums: '' };
  let hurry = () => {};
  const sumBegan = new Promise<void>((resolve) => {
    hurry = resolve;
  });
  const server: Server = createServer(20);
  const whole = new Promise<void>((resolve) => {
    const handlers: TrainingHandlers = {
      Enroll: (_, callback) => callback({ code: status.UNIMPLEMENTED }),
      Work(call) {
        call.on('error', () => {});
        call.on('data', ({ hello, ready }) => {
          if (hello) {
            call.write({
              welcome: {
                worker: 'late-1',
                run: 'directions',
                model: JSON.stringify(config),
                modelHash: modelHash(model),
                seed: 1,
                reproducible: true,
                heartbeatSeconds: 0.05,
                shapes: [{ sequences: 1, time: 4, train: true }],
              },
            });
          }
          if (!ready) return;
          const microBatches = [{ batch: 1, time: 4, tokens: Buffer.alloc(4 * 5) }];
          call.write({
            assignment: { id: 1, kind: 'TRAIN', step: 0, range: { first: 0, count: 1 }, microBatches },
          });
        });
      },
      async Weights(call) {
        peers.weights = call.getPeer();
        call.on('error', () => {});
        await sendAll(call, version(0));
        await sumBegan;
        // The step is over without this worker; the next versions are on their way while it still sends.
        for (const number of [1, 3, 5]) {
          if (!(await sendAll(call, version(number)))) return;
          counts.versions += 1;
        }
        if (counts.pieces === pieces.length) resolve();
      },
      Gradients(call, callback) {
        peers.sums = call.getPeer();
        call.on('error', () => {});
        call.on('end', () => callback(null, {}));
        call.on('data', ({ chunk, totals, heartbeat }) => {
          if (heartbeat) beat();
          if (chunk) {
            assert.equal(readChunk(chunk, model.size).piece.index, pieces.length - 1 - counts.pieces);
            counts.pieces += 1;
            hurry();
          }
          if (totals && counts.versions === 3) resolve();
        });
      },
    };
    server.addService(Training.service, handlers);
  });
  return { server, counts, peers, whole };
}

test('weights that come while a sum is sent hold up neither', { timeout: 60_000 }, async (context) => {
  assert.ok(model.size * 4 > 30 * 1024 * 1024 && pieces.length > 100, `${CHUNK_BYTES} bytes a piece`);
  const scene = lateScene();
  context.after(() => scene.server.forceShutdown());
  const port = await listen(scene.server, '127.0.0.1', 0);
  const join = formatJoinUrl({ host: '127.0.0.1', port, token: 'a-token' });
  const worker = startWorker({ join, threads: 1, backend: 'cpu', name: 'late', report: () => {} });
  context.after(() => worker.leave());
  await Promise.race([
    scene.whole,
    worker.done.then(() => assert.fail('the worker left')),
    once(context.signal, 'abort').then(() => assert.fail(JSON.stringify(scene.counts))),
  ]);
  assert.deepEqual(scene.counts, { versions: 3, pieces: pieces.length });
  assert.notEqual(scene.peers.weights, scene.peers.sums, 'bulk has one direction on each connection');
});

test('a worker is heard while its line is full of weights', { timeout: 60_000 }, async (context) => {
  let beats = 0;
  let enough = () => {};
  const heard = new Promise<void>((resolve) => {
    enough = resolve;
  });
  const scene = lateScene(() => {
    beats += 1;
    if (beats === 40) enough();
  });
  context.after(() => scene.server.forceShutdown());
  const port = await listen(scene.server, '127.0.0.1', 0);
  const join = formatJoinUrl({ host: '127.0.0.1', port, token: 'a-token' });
  const line = await fullLine(join, CHUNK_BYTES);
  context.after(() => line.close());
  const worker = startWorker({
    join: line.joinUrl,
    threads: 1,
    backend: 'cpu',
    name: 'late',
    report: () => {},
  });
  context.after(() => worker.leave());
  const silence = once(context.signal, 'abort').then(() => assert.fail(`after ${beats} heartbeats, silence`));
  await Promise.race([heard, silence]);
  assert.equal(scene.counts.pieces, 0, 'the weights stand still');
  line.open();
  await Promise.race([scene.whole, silence]);
});
