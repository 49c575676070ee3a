import {
  type Assignment,
  type CoordinatorMessage,
  createServer,
  type Losses__Output,
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
import { Bucket } from './security/bucket.js';
import { type Call, clean, type Door, otherProtocol, type Refused } from './security/door.js';
import type { WeightsFeed } from './weights-feed.js';

/** A worker as the coordinator sees it, from its hello to its goodbye. */
export interface WorkerSession {
  readonly id: string;
  /** The name in its certificate, the same whenever it comes back; null where it showed none. */
  readonly identity: string | null;
  readonly threads: number;
  /** The backend and device in the worker's own words. */
  readonly device: string;
  /** What decides the bits of its results: machine, backend and device. */
  readonly kind: string;
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
  /** Why the worker of a certificate may not come in; null where it may. */
  unwelcome(identity: string): string | null;
  ready(session: WorkerSession): void;
  heard(worker: string): void;
  /** A piece of the sum for an assignment, by that version of the weights; `values` is valid during the call only. */
  summing(worker: string, assignment: number, piece: Piece, values: Float32Array, version: number): void;
  /**
   * The sum was sent whole.
   * @param seconds that it says its threads computed
   */
  summed(worker: string, assignment: number, losses: Losses__Output, seconds: number): void;
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

const MAXIMUM_THREADS = 4096;
const MAXIMUM_PROCESS_BYTES = 64;
/** What the name of a kind of machine looks like. */
const MACHINE = /^[\x20-\x7e]{1,200}$/;

/** Messages of one worker, at once and a second after that; an honest one sends a tenth at the very most. */
const TALK = { burst: 2000, perSecond: 1000 };
const PIECES = { burst: 20_000, perSecond: 10_000 };

/** How long a worker that has left may still read what was sent to it. */
const FAREWELL_MILLISECONDS = 3000;

export interface Service {
  readonly server: Server;
  /**
   * Tells every worker that the coordinator ends, also those that are still on their way in, and hangs up.
   * @param farewell `resumes`: the run is not over, and a worker keeps knocking
   */
  finish(farewell: Farewell): void;
}

export interface Farewell {
  readonly reason: string;
  readonly resumes: boolean;
}

/** A worker that was welcomed. */
interface Member {
  readonly identity: string | null;
  /** Its process's own secret, hexadecimal; '' for none. */
  readonly process: string;
  /** Of its sums in shared memory. */
  readonly place: SharedTensor | null;
  /** It sends its sums on one call. */
  uploading: boolean;
  /** Break its calls for weights and sums off. */
  readonly calls: Set<() => void>;
  close(reason: string): void;
}

/**
 * The calls of proto/manyhands/v1/training.proto, turned into sessions and events.
 * @param places of sums in memory that workers of this machine share
 */
export function createService({
  door,
  invitation,
  keepaliveSeconds,
  feed,
  places,
  choices,
  listener,
}: {
  readonly door: Door;
  readonly invitation: Invitation;
  readonly keepaliveSeconds: number;
  readonly feed: WeightsFeed;
  readonly places: readonly SharedTensor[];
  readonly choices: Choices;
  readonly listener: ServiceListener;
}): Service {
  const members = new Map<string, Member>();
  let joined = 0;
  let finished: Farewell | null = null;
  const finishers = new Set<(farewell: Farewell) => void>();

  const { size, ...welcome } = invitation;

  /** The worker that makes a call for weights or sums: the one that the call names, if it proves to be that one. */
  const memberOf = (call: Call): { id: string; member: Member } | Refused => {
    const caller = door.caller(call);
    if ('refused' in caller) return caller.refused;
    const id = String(call.metadata.get('worker')[0] ?? '');
    const member = members.get(id);
    if (member !== undefined && member.identity === caller.identity) return { id, member };
    return door.refuse(call.getPeer(), 'only a worker of this run may read its weights and send sums');
  };

  /** The place with that number, counted from 1, for one member only. */
  const takePlace = (number: number): SharedTensor | null => {
    const place = places[number - 1] ?? null;
    if (place === null || [...members.values()].some((member) => member.place === place)) return null;
    place.release();
    return place;
  };

  const handlers: TrainingHandlers = {
    async Enroll(call, callback) {
      try {
        const answer = await door.enrol(call.getPeer(), call.request);
        if ('code' in answer) callback(answer);
        else callback(null, { certificate: answer });
      } catch (error) {
        const details = `the certificate could not be made: ${error instanceof Error ? error.message : error}`;
        callback(door.refuse(call.getPeer(), details, status.INTERNAL));
      }
    },

    Work(call) {
      const peer = call.getPeer();
      const caller = door.caller(call);
      if ('refused' in caller) {
        call.emit('error', caller.refused);
        return;
      }
      const { identity } = caller;
      const talk = new Bucket(TALK.burst, TALK.perSecond);
      let id: string | null = null;
      let hello: NonNullable<WorkerMessage__Output['hello']> | null = null;
      let turn: Turn | null = null;
      let greeted = false;
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
        if (id !== null) {
          const { calls } = members.get(id) ?? {};
          members.delete(id);
          setTimeout(() => {
            for (const end of calls ?? []) end();
          }, FAREWELL_MILLISECONDS).unref();
        }
        turn?.leave();
        if (greeted) door.left(peer);
        if (ready && id !== null) listener.gone(id, reason);
      };
      const refuse = (reason: string) => {
        door.refuse(peer, reason);
        write({ refusal: { reason } });
        close(reason);
      };

      const finish = (farewell: Farewell) => {
        write({ finish: farewell });
        close(farewell.reason);
      };
      if (finished !== null) return finish(finished);
      finishers.add(finish);

      const receive = (message: WorkerMessage__Output) => {
        if (over) return;
        if (!talk.take()) return refuse('a worker sends fewer messages than that');
        if (message.hello && hello === null) {
          hello = message.hello;
          if (hello.protocol !== PROTOCOL_VERSION) {
            return refuse(otherProtocol(hello.protocol, hello.software));
          }
          if (hello.threads < 1 || hello.threads > MAXIMUM_THREADS) {
            return refuse(`a worker has 1 to ${MAXIMUM_THREADS} threads, not ${hello.threads}`);
          }
          if (!MACHINE.test(hello.machine))
            return refuse('a worker names its kind of machine in 1 to 200 letters');
          if (hello.process.length > MAXIMUM_PROCESS_BYTES) {
            return refuse(`a worker names its process in ${MAXIMUM_PROCESS_BYTES} bytes at most`);
          }
          const process = hello.process.toString('hex');
          const barred = identity === null ? null : listener.unwelcome(identity);
          if (barred !== null) return refuse(barred);
          greeted = true;
          door.joined(peer);
          joined += 1;
          const worker = `${(identity ?? asciiOnly(clean(hello.name))) || 'worker'}-${joined}`;
          turn = choices.ask(hello.machine, (known) => {
            if (over) return;
            // One that comes back before its loss was noticed takes its own place.
            for (const other of [...members.values()]) {
              const same = identity !== null && other.identity === identity;
              if (same || (process !== '' && other.process === process)) {
                other.close('came back on another connection');
              }
            }
            id = worker;
            const place = takePlace(hello?.place ?? 0);
            members.set(worker, { identity, process, place, uploading: false, calls: new Set(), close });
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
          const device = clean(`${message.ready.backend} (${message.ready.mode}, ${message.ready.device})`);
          listener.ready({
            id,
            identity,
            threads: hello.threads,
            device,
            kind: `${hello.machine}: ${device}`,
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
      const found = memberOf(call);
      if ('code' in found) {
        call.emit('error', found);
        return;
      }
      const { id, member } = found;
      call.on('error', () => {});
      const end = () => call.emit('error', LEFT);
      member.calls.add(end);
      void feed.subscribe(id, call, member.place !== null).finally(() => member.calls.delete(end));
    },

    Gradients(call, callback) {
      const found = memberOf(call);
      if ('code' in found) return callback(found);
      const { id, member } = found;
      if (member.uploading) {
        return callback(door.refuse(call.getPeer(), 'a worker sends its sums on one call'));
      }
      member.uploading = true;
      // Sums come on a connection of their own, on which nobody says hello.
      const peer = call.getPeer();
      door.joined(peer);
      const { place } = member;
      const talk = new Bucket(PIECES.burst, PIECES.perSecond);
      let over = false;
      const close = (error: Refused | null) => {
        if (over) return;
        over = true;
        member.uploading = false;
        door.left(peer);
        member.calls.delete(end);
        callback(error, {});
      };
      const end = () => close(LEFT);
      member.calls.add(end);
      call.on('data', ({ assignment, chunk, totals }) => {
        if (over || members.get(id) !== member) return;
        if (!talk.take()) {
          return close({ code: status.RESOURCE_EXHAUSTED, details: 'a sum has fewer pieces than that' });
        }
        listener.heard(id);
        if (chunk) {
          try {
            const { piece, values } = readChunk(chunk, size, place && { tensor: place, tag: assignment });
            if (values === null) {
              listener.failed(id, assignment, 'its sum is in shared memory no more');
              return;
            }
            listener.received(values.byteLength);
            listener.summing(id, assignment, piece, values, chunk.version);
          } catch (error) {
            if (!(error instanceof TensorError)) throw error;
            return close({ code: status.INVALID_ARGUMENT, details: error.message });
          }
        }
        if (totals) place?.give(assignment);
        if (totals?.losses) listener.summed(id, assignment, totals.losses, totals.seconds);
      });
      call.on('end', () => close(null));
      call.on('error', () => close({ code: status.UNKNOWN, details: 'the call broke' }));
      call.on('cancelled', () => close({ code: status.CANCELLED, details: 'cancelled' }));
    },
  };

  const server = createServer(keepaliveSeconds);
  server.addService(Training.service, handlers);
  return {
    server,
    finish(farewell) {
      finished = farewell;
      for (const finish of [...finishers]) finish(farewell);
    },
  };
}

const LEFT: Refused = { code: status.CANCELLED, details: 'the worker has left the run' };

/** What a gRPC header can carry, in which a worker names itself later. */
function asciiOnly(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?');
}
