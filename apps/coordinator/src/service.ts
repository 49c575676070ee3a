import {
  type Assignment,
  type CoordinatorMessage,
  createServer,
  isInvited,
  type Losses__Output,
  type Metadata,
  type Piece,
  PROTOCOL_VERSION,
  readChunk,
  type Server,
  type Shape,
  type SharedTensor,
  status,
  TensorError,
  Training,
  type TrainingHandlers,
  type WorkerMessage__Output,
} from '@manyhands/proto';
import { type Choices, MAXIMUM_CHOICES_BYTES, type Turn } from './choices.js';
import type { WeightsFeed } from './weights-feed.js';

/** A worker as the coordinator sees it. */
export interface WorkerSession {
  readonly id: string;
  readonly threads: number;
  /** The backend and device in the worker's own words. */
  readonly device: string;
  readonly hasData: boolean;
  assign(assignment: Assignment): void;
  /** What was assigned is done by another. */
  cancel(assignment: number): void;
  /** Says why and hangs up. */
  refuse(reason: string): void;
  drop(reason: string): void;
}

/** What the service tells the run. A session's id is in every call after `ready` and before `gone`. */
export interface ServiceListener {
  ready(session: WorkerSession): void;
  heard(worker: string): void;
  /** A piece of the sum for an assignment; `values` is valid during the call only. */
  summing(worker: string, assignment: number, piece: Piece, values: Float32Array): void;
  /** The sum was sent whole. */
  summed(worker: string, assignment: number, losses: Losses__Output): void;
  evaluated(worker: string, assignment: number, losses: Losses__Output): void;
  failed(worker: string, assignment: number, reason: string): void;
  gone(worker: string, reason: string): void;
  received(bytes: number): void;
}

/** What every worker is told when it joins; `modelHash` must come back. */
export interface Invitation {
  readonly run: string;
  readonly model: string;
  readonly modelHash: string;
  readonly seed: number;
  readonly reproducible: boolean;
  readonly heartbeatSeconds: number;
  readonly dataHash: string;
  readonly shapes: Shape[];
  readonly recompute: boolean;
  /** Elements in the flat array of gradients. */
  readonly size: number;
}

const MAXIMUM_TEXT = 200;
const MAXIMUM_THREADS = 4096;
/** What the name of a kind of machine looks like. */
const MACHINE = /^[\x20-\x7e]{1,200}$/;

export interface Service {
  readonly server: Server;
  /** Tells every worker that the run is over, also those that are still on their way in, and hangs up. */
  finish(reason: string): void;
}

/**
 * The three calls of proto/manyhands/v1/training.proto, turned into sessions and events.
 * @param places of sums in memory that workers of this machine share
 */
export function createService(
  token: string,
  invitation: Invitation,
  feed: WeightsFeed,
  places: readonly SharedTensor[],
  choices: Choices,
  listener: ServiceListener,
): Service {
  /** With the place of its sums in shared memory. */
  const members = new Map<string, SharedTensor | null>();
  const uploading = new Set<string>();
  let joined = 0;
  let finished: string | null = null;
  const finishers = new Set<(reason: string) => void>();

  const { size, ...welcome } = invitation;
  const memberOf = (metadata: Metadata): string | null => {
    const worker = String(metadata.get('worker')[0] ?? '');
    return isInvited(metadata, token) && members.has(worker) ? worker : null;
  };

  /** The place with that number, counted from 1, for one member only. */
  const takePlace = (number: number): SharedTensor | null => {
    const place = places[number - 1] ?? null;
    if (place === null || [...members.values()].includes(place)) return null;
    place.release();
    return place;
  };

  const handlers: TrainingHandlers = {
    Work(call) {
      if (!isInvited(call.metadata, token)) {
        call.emit('error', {
          code: status.UNAUTHENTICATED,
          details: 'the token does not belong to this run',
        });
        return;
      }
      let id: string | null = null;
      let hello: NonNullable<WorkerMessage__Output['hello']> | null = null;
      let turn: Turn | null = null;
      let ready = false;
      let over = false;

      const write = (message: CoordinatorMessage) => {
        if (!over) call.write(message);
      };
      const close = (reason: string) => {
        if (over) return;
        over = true;
        call.end();
        finishers.delete(finish);
        if (id !== null) members.delete(id);
        turn?.leave();
        if (ready && id !== null) listener.gone(id, reason);
      };
      const refuse = (reason: string) => {
        write({ refusal: { reason } });
        close(reason);
      };

      const finish = (reason: string) => {
        write({ finish: { reason } });
        close(reason);
      };
      if (finished !== null) return finish(finished);
      finishers.add(finish);

      const receive = (message: WorkerMessage__Output) => {
        if (over) return;
        if (message.hello && hello === null) {
          hello = message.hello;
          if (hello.protocol !== PROTOCOL_VERSION) {
            return refuse(
              `the worker speaks protocol ${hello.protocol} (version ${clean(hello.software)}) and the coordinator ${PROTOCOL_VERSION}: install the same version of manyhands on both`,
            );
          }
          if (hello.threads < 1 || hello.threads > MAXIMUM_THREADS) {
            return refuse(`a worker has 1 to ${MAXIMUM_THREADS} threads, not ${hello.threads}`);
          }
          if (!MACHINE.test(hello.machine))
            return refuse('a worker names its kind of machine in 1 to 200 letters');
          joined += 1;
          const worker = `${asciiOnly(clean(hello.name)) || 'worker'}-${joined}`;
          turn = choices.ask(hello.machine, (known) => {
            if (over) return;
            id = worker;
            const place = takePlace(hello?.place ?? 0);
            members.set(worker, place);
            write({ welcome: { ...welcome, worker, choices: known, sharesMemory: place !== null } });
          });
          if (turn === null) refuse('the run has workers on too many kinds of machines already');
          return;
        }
        if (id === null || hello === null) return refuse('a worker says hello first');
        if (message.ready && !ready) {
          if (message.ready.modelHash !== invitation.modelHash) {
            return refuse(
              'the worker built another model than the coordinator: install the same version on both',
            );
          }
          if (Buffer.byteLength(message.ready.choices) > MAXIMUM_CHOICES_BYTES) {
            return refuse(`a worker tells its choices in ${MAXIMUM_CHOICES_BYTES} bytes at most`);
          }
          // Only where the processor computes are there choices; a worker on a GPU leaves them to the next.
          turn?.settle(message.ready.backend === 'cpu' ? message.ready.choices : null);
          ready = true;
          listener.ready({
            id,
            threads: hello.threads,
            device: clean(`${message.ready.backend} (${message.ready.mode}, ${message.ready.device})`),
            hasData: message.ready.hasData,
            assign: (assignment) => write({ assignment }),
            cancel: (assignment) => write({ cancel: { assignment } }),
            refuse: (reason) => {
              ready = false;
              refuse(reason);
            },
            drop: close,
          });
          return;
        }
        if (!ready) return refuse('a worker says ready before anything else');
        switch (message.message) {
          case 'heartbeat':
            return listener.heard(id);
          case 'evaluated':
            if (message.evaluated?.losses) {
              listener.evaluated(id, message.evaluated.assignment, message.evaluated.losses);
            }
            return;
          case 'failed':
            if (message.failed) listener.failed(id, message.failed.assignment, clean(message.failed.reason));
            return;
          case 'goodbye':
            return close(clean(message.goodbye?.reason ?? '') || 'said goodbye');
          default:
            return refuse('the worker sent a message out of turn');
        }
      };
      call.on('data', receive);
      call.on('end', () => close('hung up'));
      call.on('error', (error) => close(error.message));
      call.on('cancelled', () => close('connection lost'));
    },

    Weights(call) {
      const worker = memberOf(call.metadata);
      if (worker === null) {
        call.emit('error', {
          code: status.UNAUTHENTICATED,
          details: 'only a worker of this run may read its weights',
        });
        return;
      }
      call.on('error', () => {});
      void feed.subscribe(worker, call, members.get(worker) != null);
    },

    Gradients(call, callback) {
      const worker = memberOf(call.metadata);
      if (worker === null || uploading.has(worker)) {
        callback({
          code: status.UNAUTHENTICATED,
          details: 'only a worker of this run may send gradients, on one call',
        });
        return;
      }
      uploading.add(worker);
      const place = members.get(worker) ?? null;
      let over = false;
      const close = (error: { code: status; details: string } | null) => {
        if (over) return;
        over = true;
        uploading.delete(worker);
        callback(error, {});
      };
      call.on('data', ({ assignment, chunk, totals }) => {
        if (over) return;
        listener.heard(worker);
        if (chunk) {
          try {
            const { piece, values } = readChunk(chunk, size, place && { tensor: place, tag: assignment });
            if (values === null) {
              listener.failed(worker, assignment, 'its sum is in shared memory no more');
              return;
            }
            listener.received(values.byteLength);
            listener.summing(worker, assignment, piece, values);
          } catch (error) {
            if (!(error instanceof TensorError)) throw error;
            return close({ code: status.INVALID_ARGUMENT, details: error.message });
          }
        }
        if (totals) place?.release();
        if (totals?.losses) listener.summed(worker, assignment, totals.losses);
      });
      call.on('end', () => close(null));
      call.on('error', () => close({ code: status.UNKNOWN, details: 'the call broke' }));
      call.on('cancelled', () => close({ code: status.CANCELLED, details: 'cancelled' }));
    },
  };

  const server = createServer();
  server.addService(Training.service, handlers);
  return {
    server,
    finish(reason) {
      finished = reason;
      for (const finish of [...finishers]) finish(reason);
    },
  };
}

/** What a gRPC header can carry, in which a worker names itself later. */
function asciiOnly(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?');
}

/** Text from a peer, short and without control characters, safe for a terminal and a log. */
function clean(text: string): string {
  return text.replace(/\p{C}/gu, ' ').trim().slice(0, MAXIMUM_TEXT);
}
