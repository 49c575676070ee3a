import { writeFileSync } from 'node:fs';
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';
import { join } from 'node:path';
import { startCoordinator } from '@manyhands/coordinator';
import { parseConfig } from '@manyhands/core/config';
import { type CoordinatorMessage__Output, parseJoinUrl, Training } from '@manyhands/proto';
import { encodeFields, type Field, parseFields } from '../mutate-protobuf.js';
import { grpcFrame, openCall, openSession, statusOf, type Victim } from '../raw-http2.js';
import type { Target } from '../target.js';
import { temporaryFolder } from './folder.js';
import { helloMessage, losses, partialSums, readyMessage } from './wire.js';

/*
 * A session with a live coordinator as one input: a protobuf message of which field 1 is a WorkerMessage, sent on the
 * call Work in order, and field 2 a PartialSum, sent on the call Gradients. So the mutator reaches into both.
 */
const [WORK, GRADIENTS] = [1, 2];

/** A run that is never over, of a model with a few hundred weights. */
async function liveCoordinator() {
  const { folder, close } = temporaryFolder();
  const path = join(folder, 'text.txt');
  writeFileSync(path, 'the whale and the sea\n'.repeat(40));
  const config = parseConfig({
    model: { layers: 1, heads: 1, channels: 4, context: 4 },
    data: { sources: [path], tokenizer: 'char' },
    batch: { sequences: 2, microBatch: 1 },
    run: { steps: 1e9, evalEvery: 0, checkpointEvery: 0, reproducible: true },
  });
  const running = await startCoordinator({
    config,
    out: join(folder, 'run'),
    resume: false,
    listen: '127.0.0.1:0',
    report: () => {},
  });
  return { running, close };
}

const { requestSerialize, responseDeserialize } = Training.service.Work;

/** What the coordinator answers on a call, message by message. */
function answersOf(stream: ClientHttp2Stream, take: (message: CoordinatorMessage__Output) => void): void {
  let held = Buffer.of();
  stream.on('data', (bytes: Buffer) => {
    held = Buffer.concat([held, bytes]);
    while (held.length >= 5 && held.length >= 5 + held.readUInt32BE(1)) {
      const end = 5 + held.readUInt32BE(1);
      take(responseDeserialize(held.subarray(5, end)));
      held = held.subarray(end);
    }
  });
}

/** The parts of one kind, in order. */
function partsOf(fields: readonly Field[], number: number): Uint8Array[] {
  return fields.flatMap((field) => (field.number === number && field.type === 'bytes' ? [field.value] : []));
}

/** As the worker that it says it is, sends everything and hangs up; throws what it was refused with. */
async function play(session: ClientHttp2Session, victim: Victim, input: Uint8Array): Promise<void> {
  const fields = parseFields(input);
  if (fields === null) throw new Error('this is no session');
  const sums = partsOf(fields, GRADIENTS);
  const work = openCall(session, victim, 'Work');
  let refused: string | null = null;
  let upload: Promise<string> = Promise.resolve('0');
  answersOf(work, ({ welcome, refusal, finish }) => {
    refused ??= refusal?.reason ?? finish?.reason ?? null;
    if (!welcome) return;
    if (sums.length > 0) {
      const call = openCall(session, victim, 'Gradients', { worker: welcome.worker });
      upload = statusOf(call);
      for (const sum of sums) call.write(grpcFrame(sum));
      call.end();
    }
    void upload.then(() => work.end());
  });
  for (const message of partsOf(fields, WORK)) work.write(grpcFrame(message));
  // Who is not welcome is told, or told nothing where it said nothing: then it hangs up by itself.
  if (partsOf(fields, WORK).length === 0) work.end();
  const status = await statusOf(work);
  const uploaded = await upload;
  if (refused !== null) throw new Error(refused);
  if (status !== '0' || uploaded !== '0') throw new Error(`the calls ended with ${status} and ${uploaded}`);
}

const service: Target = {
  form: 'protobuf',
  // Each input is a connection and a worker in the run's events: a hundred times as long as the others.
  share: 1,
  open: async () => {
    const { running, close } = await liveCoordinator();
    const victim = parseJoinUrl(running.joinUrl);
    let failure: string | null = null;
    running.done.catch((error: Error) => {
      failure = error.message;
    });
    const session = (work: object[], sums: readonly Uint8Array[] = []): Uint8Array =>
      encodeFields([
        ...work.map((message): Field => ({ number: WORK, type: 'bytes', value: requestSerialize(message) })),
        ...sums.map((value): Field => ({ number: GRADIENTS, type: 'bytes', value })),
      ]);
    const model = await modelHashOf(victim);
    const ready = readyMessage(model);
    return {
      seeds: [
        session([helloMessage, ready, { goodbye: { reason: 'lid closed' } }]),
        session([helloMessage, ready, { evaluated: { assignment: 1, losses } }]),
        session([helloMessage, ready, { failed: { assignment: 1, reason: 'out of memory' } }]),
        session([helloMessage, ready], partialSums.slice(1)),
      ],
      read: async (input) => {
        if (failure !== null) throw new TypeError(`the run was ended by what came before: ${failure}`);
        const own = openSession(victim);
        try {
          await play(own, victim, input);
        } finally {
          own.destroy();
        }
      },
      close: async () => {
        running.stop();
        await running.done.catch(() => {});
        close();
      },
    };
  },
};

/** What the coordinator tells every worker of its model. */
async function modelHashOf(victim: Victim): Promise<string> {
  const session = openSession(victim);
  const work = openCall(session, victim, 'Work');
  const hash = await new Promise<string>((resolve) => {
    answersOf(work, ({ welcome }) => resolve(welcome?.modelHash ?? ''));
    work.write(grpcFrame(requestSerialize(helloMessage)));
  });
  session.destroy();
  return hash;
}

/** The service with all its checks, over the wire. */
export const serviceTargets = { service } as const satisfies Record<string, Target>;
