import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createModel, type ModelConfig, modelHash } from '@manyhands/core/model';
import {
  ChunkMemory,
  createServer,
  formatJoinUrl,
  listen,
  piecesOf,
  sendAll,
  status,
  Training,
  type TrainingHandlers,
} from '@manyhands/proto';
import { startWorker } from '@manyhands/worker';

/* A worker that has work before it has weights, as a coordinator that says what the test wants sees it. */

const config: ModelConfig = {
  arch: 'gpt2',
  layers: 2,
  heads: 2,
  kvHeads: 2,
  channels: 64,
  hidden: 256,
  context: 32,
  vocab: 64,
  dropout: 0,
  tieEmbeddings: true,
  activation: 'gelu_new',
  epsilon: 1e-5,
  ropeTheta: 10_000,
};
const model = createModel(config);
const [batch, time] = [4, 32];
const microBatches = Array.from({ length: 6 }, () => ({
  batch,
  time,
  tokens: Buffer.alloc(4 * batch * (time + 1)),
}));

type Call<Name extends keyof TrainingHandlers> = Parameters<TrainingHandlers[Name]>[0];

/**
 * A worker of a coordinator that welcomes it, and a way to give it work, weights and word that its work is not wanted.
 * @param told what is told the seconds of each sum, and that work could not be done
 */
async function scene(
  context: TestContext,
  told: { totals?: (seconds: number) => void; failed?: () => void },
) {
  const server = createServer(20);
  context.after(() => server.forceShutdown());
  let work: Call<'Work'> | null = null;
  let weights: Call<'Weights'> | null = null;
  let met = () => {};
  const both = new Promise<void>((resolve) => {
    met = () => work !== null && weights !== null && resolve();
  });
  const handlers: TrainingHandlers = {
    Enroll: (_, callback) => callback({ code: status.UNIMPLEMENTED }),
    Work(call) {
      call.on('error', () => {});
      call.on('end', () => call.end());
      call.on('data', ({ hello, ready, failed }) => {
        if (failed) told.failed?.();
        if (hello) {
          call.write({
            welcome: {
              worker: 'ada-1',
              run: 'waiting',
              model: JSON.stringify(config),
              modelHash: modelHash(model),
              seed: 1,
              reproducible: true,
              heartbeatSeconds: 1,
              shapes: [{ sequences: batch, time, train: true }],
            },
          });
        }
        if (!ready) return;
        work = call;
        met();
      });
    },
    Weights(call) {
      call.on('error', () => {});
      weights = call;
      met();
    },
    Gradients(call, callback) {
      call.on('error', () => {});
      call.on('end', () => callback(null, {}));
      call.on('data', (message) => {
        if (message.totals) told.totals?.(message.totals.seconds);
      });
    },
  };
  server.addService(Training.service, handlers);
  const port = await listen(server, '127.0.0.1', 0);
  const join = formatJoinUrl({ host: '127.0.0.1', port, token: 'a-token' });
  const worker = startWorker({ join, threads: 1, backend: 'cpu', name: 'ada', report: () => {} });
  context.after(() => worker.leave());
  await both;
  return {
    worker,
    assign(id: number, given = microBatches) {
      const range = { first: (id - 1) * given.length, count: given.length };
      work?.write({ assignment: { id, kind: 'TRAIN', step: 0, range, microBatches: given } });
    },
    cancel: (id: number) => work?.write({ cancel: { assignment: id } }),
    async send() {
      const chunks = piecesOf(model.size).map((piece) =>
        new ChunkMemory(piece.to - piece.from).chunk(0, piece, model.size),
      );
      if (weights !== null) await sendAll(weights, chunks);
    },
  };
}

test('what a worker says that it computed leaves out what it waited for: weights, and the sum before', {
  timeout: 30_000,
}, async (context) => {
  const told: number[] = [];
  let whole = () => {};
  const done = new Promise<void>((resolve) => {
    whole = resolve;
  });
  const totals = (seconds: number) => {
    told.push(seconds);
    if (told.length === 3) whole();
  };
  const { assign, send } = await scene(context, { totals });
  for (const id of [1, 2, 3]) assign(id);
  const began = performance.now();
  await send();
  await done;
  const elapsed = (performance.now() - began) / 1000;
  const computed = told.reduce((sum, seconds) => sum + seconds, 0);
  assert.ok(
    told.every((seconds) => seconds > 0),
    `${told}`,
  );
  assert.ok(computed <= elapsed, `${told} s of ${elapsed} s`);
});

test('a worker whose work is not wanted any more leaves without waiting for its weights', {
  timeout: 30_000,
}, async (context) => {
  let failed = () => {};
  const refused = new Promise<void>((resolve) => {
    failed = resolve;
  });
  const { worker, assign, cancel } = await scene(context, { failed });
  assign(1);
  assign(2, [{ batch, time, tokens: Buffer.alloc(4) }]); // too few tokens: when that is told, the first one waits
  await refused;
  cancel(1);
  worker.leave();
  await worker.done;
});
