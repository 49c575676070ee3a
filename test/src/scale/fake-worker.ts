import { setTimeout as delay } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import {
  type Assignment__Output,
  CHUNK_VALUES,
  type CoordinatorMessage__Output,
  connect,
  explainStatus,
  type PartialSum,
  PROTOCOL_VERSION,
  parseJoinUrl,
  piecesOf,
  sendAll,
  type TensorChunk__Output,
  type Welcome__Output,
} from '@manyhands/proto';

/** Every value of a gradient that nobody computed: small and finite, so that a step moves the weights a little. */
const GRADIENT = 1e-3;
const bytes = Buffer.from(new Float32Array(CHUNK_VALUES).fill(GRADIENT).buffer);

/** The pieces of a sum from the last to the first, as a worker sends them. */
const chunksOf = (() => {
  const known = new Map<number, readonly { offset: number; data: Buffer; checksum: number }[]>();
  return (size: number) => {
    const chunks =
      known.get(size) ??
      piecesOf(size)
        .reverse()
        .map(({ from, to }) => {
          const data = bytes.subarray(0, 4 * (to - from));
          return { offset: 4 * from, data, checksum: crc32(data) };
        });
    known.set(size, chunks);
    return chunks;
  };
})();

/** @param pace milliseconds that a micro-batch took */
function* messagesOf(
  { id, step, microBatches }: Assignment__Output,
  size: number,
  pace: number,
): Generator<PartialSum> {
  for (const chunk of chunksOf(size)) {
    yield { assignment: id, chunk: { ...chunk, version: step, total: 4 * size } };
  }
  const losses = {
    sums: microBatches.map(() => 1),
    targets: microBatches.map(({ batch, time }) => batch * time),
  };
  yield { assignment: id, totals: { losses, seconds: (pace * microBatches.length) / 1000 } };
}

/** What a fake worker did. */
export interface Service {
  /** Micro-batches that it answered for. */
  readonly served: number;
  /** Of a version of the weights. */
  readonly weightBytes: number;
}

/**
 * A worker that talks, fetches weights and sends sums as a true one does, on connections of its own, but computes nothing.
 * @param pace milliseconds that a micro-batch is to take
 * @returns when the run is over; rejects where it is lost or refused
 */
export function fakeWorker({
  join,
  name,
  pace,
}: {
  readonly join: string;
  readonly name: string;
  readonly pace: number;
}): Promise<Service> {
  const url = parseJoinUrl(join);
  const credentials = { kind: 'token' as const, token: url.token };
  const { client, metadata } = connect(url, credentials);
  const { client: upwards } = connect(url, credentials);
  const work = client.Work(metadata);
  const cancelled = new Set<number>();
  let served = 0;
  let size = 0;

  const begin = (welcome: Welcome__Output, lost: (error: Error) => void) => {
    metadata.set('worker', welcome.worker);
    let version = -1;
    const waiting: (() => void)[] = [];
    const weights = client.Weights({}, metadata);
    weights.on('error', lost);
    weights.on('data', ({ version: number, offset, total, data }: TensorChunk__Output) => {
      if (offset + data.length < total) return;
      version = number;
      size = total / 4;
      for (const look of waiting.splice(0)) look();
    });
    const gradients = upwards.Gradients(metadata, (error) => {
      if (error) lost(error);
    });
    gradients.on('error', () => {}); // the callback above tells

    // One after the other, as one thread would.
    let last: Promise<void> = Promise.resolve();
    const answer = async (assignment: Assignment__Output, before: Promise<void>) => {
      const { id, step, microBatches } = assignment;
      while (step > version) await new Promise<void>((look) => waiting.push(look));
      await before;
      if (pace > 0) await delay(pace * microBatches.length);
      if (step !== version || cancelled.has(id)) return;
      served += microBatches.length;
      await sendAll(gradients, messagesOf(assignment, size, pace));
    };
    work.on('data', ({ assignment, cancel }: CoordinatorMessage__Output) => {
      if (cancel) cancelled.add(cancel.assignment);
      if (assignment) last = answer(assignment, last);
    });
    const { modelHash } = welcome;
    work.write({ ready: { backend: 'none', mode: 'instant', device: 'none', modelHash } });
    return setInterval(() => gradients.write({ heartbeat: {} }), 1000 * welcome.heartbeatSeconds);
  };

  return new Promise<Service>((resolve, reject) => {
    let beat: NodeJS.Timeout | undefined;
    const end = () => {
      clearInterval(beat);
      work.cancel();
      client.close();
      upwards.close();
    };
    const lost = (error: Error) => {
      reject(new Error(`${name} is lost: ${explainStatus(error)}`));
      end();
    };
    work.on('error', lost);
    work.on('data', ({ welcome, refusal, finish }: CoordinatorMessage__Output) => {
      if (refusal) lost(new Error(refusal.reason));
      if (welcome) beat = begin(welcome, lost);
      if (!finish) return;
      resolve({ served, weightBytes: 4 * size });
      end();
    });
    const hello = { protocol: PROTOCOL_VERSION, software: 'scale', name, threads: 1, machine: 'a crowd' };
    work.write({ hello });
  });
}
