import { hostname } from 'node:os';
import { type BackendChoice, machineKind } from '@manyhands/core/kernels';
import { BufferPool } from '@manyhands/core/reduce';
import { span } from '@manyhands/core/trace';
import {
  type Assignment__Output,
  announce,
  CHUNK_VALUES,
  ChunkMemory,
  type CoordinatorMessage__Output,
  type Credentials,
  connect,
  type EncodedPartialSum,
  explainStatus,
  type JoinUrl,
  type PartialSum,
  PROTOCOL_VERSION,
  piecesOf,
  type SharedMemory,
  type SharedTensor,
  sendAll,
  status,
  TensorAssembler,
  type Welcome__Output,
} from '@manyhands/proto';
import { taskFromJson, taskHash } from '@manyhands/tasks';
import { readAssignment, readShapes } from './assignment.js';
import { ThreadPool } from './pool.js';
import type { RangeSum } from './range-sum.js';
import type { LocalShards } from './shards.js';
import { WeightsGate } from './weights-gate.js';

type Totals = NonNullable<PartialSum['totals']>;

export interface SessionOptions {
  readonly join: JoinUrl;
  /** How it shows that it belongs to the run. */
  readonly credentials: Credentials;
  readonly threads: number;
  readonly backend: BackendChoice;
  readonly name: string;
  /** By which the coordinator knows it again when it comes back. */
  readonly process: Buffer;
  readonly version: string;
  readonly shards: LocalShards;
  readonly shared: { readonly memory: SharedMemory; readonly place: number } | undefined;
  status(text: string): void;
}

/** How one session with a coordinator ended. */
export type SessionEnd =
  | { readonly kind: 'finished'; readonly reason: string }
  /** Said goodbye because it was asked to. */
  | { readonly kind: 'left' }
  /**
   * The connection broke or was never made; `joined` tells whether work had begun, `resumes` that the coordinator said
   * it would be back.
   */
  | { readonly kind: 'lost'; readonly reason: string; readonly joined: boolean; readonly resumes?: boolean }
  /** The coordinator does not take its certificate or token. */
  | { readonly kind: 'unknown'; readonly reason: string }
  /** Trying again would end the same way. */
  | { readonly kind: 'refused'; readonly reason: string };

/** How long a worker that leaves waits for the coordinator to hear it. */
const FAREWELL_MILLISECONDS = 2000;

/** One session, from hello to goodbye. `leave` finishes what was assigned, says goodbye and resolves `done`. */
export function openSession(options: SessionOptions): { done: Promise<SessionEnd>; leave(): void } {
  const { client, metadata } = connect(options.join, options.credentials);
  // A connection that is full both ways stands still (decision 0014).
  const { client: upwards } = connect(options.join, options.credentials);
  const work = client.Work(metadata);
  let settle: (end: SessionEnd) => void = () => {};
  const done = new Promise<SessionEnd>((resolve) => {
    settle = resolve;
  });
  let over = false;
  let joined = false;
  let leaving = false;
  let saidGoodbye = false;
  let busy = 0;
  let close: () => Promise<void> = async () => {};

  const end = (how: SessionEnd) => {
    if (over) return;
    over = true;
    work.removeAllListeners('data');
    work.cancel();
    client.close();
    upwards.close();
    void close().then(() => settle(how));
  };
  const leaveWhenIdle = () => {
    if (!leaving || busy > 0 || over) return;
    if (saidGoodbye) return;
    saidGoodbye = true;
    work.write({ goodbye: { reason: 'leaving as asked' } });
    work.end();
    // The coordinator hangs up when it has heard; one that is gone is not waited for.
    setTimeout(() => end({ kind: 'left' }), FAREWELL_MILLISECONDS).unref();
  };

  const start = async (welcome: Welcome__Output) => {
    const task = taskFromJson(welcome.model);
    const { size } = task.model;
    if (taskHash(task) !== welcome.modelHash) {
      return end({
        kind: 'refused',
        reason:
          'the coordinator has another version of this model: install the same version of manyhands on both',
      });
    }
    options.status(`${welcome.worker} joined run ${welcome.run}; preparing ${threads(options.threads)}`);
    const pool = await ThreadPool.create({
      task,
      // A game's model is so small that the processor has done before a GPU has begun.
      backend: task.name === 'language' || options.backend !== 'auto' ? options.backend : 'cpu',
      reproducible: welcome.reproducible,
      threads: options.threads,
      shapes: readShapes(welcome, task),
      recompute: welcome.recompute,
      choices: welcome.choices === '' ? null : welcome.choices,
    });
    close = () => pool.close();
    if (over) return close();
    const data = task.name === 'language' ? await options.shards.find(welcome.dataHash) : null;
    const gate = new WeightsGate();
    const callMetadata = metadata.clone();
    callMetadata.set('worker', welcome.worker);

    const weights = client.Weights({}, callMetadata);
    const shared = welcome.sharesMemory ? options.shared : undefined;
    const tensor = (index: number) => shared?.memory.tensor(index, size) ?? null;
    const assemblers = [0, 1].map((slot) => new TensorAssembler(pool.weightsFor(slot), tensor(slot)));
    const place = shared === undefined ? null : tensor(1 + shared.place);
    let arriving = 0;
    weights.on('data', (chunk) => {
      if (chunk.offset === 0) arriving = performance.now();
      try {
        if (!assemblers[chunk.version % 2].add(chunk)) return;
        span('weights in', arriving, { version: chunk.version });
        gate.arrived(chunk.version);
      } catch (error) {
        end({ kind: 'lost', reason: messageOf(error), joined });
      }
    });
    weights.on('error', (error) => end({ kind: 'lost', reason: explainStatus(error), joined }));

    const gradients = upwards.Gradients(callMetadata, (error) => {
      if (error) end({ kind: 'lost', reason: explainStatus(error), joined });
    });
    gradients.on('error', () => {}); // the callback above tells

    // One sum after the other: the pieces of two are never mixed.
    let sending: Promise<unknown> = Promise.resolve();
    const memories: ChunkMemory[] = [];
    /** When the last sum was computed: its threads begin the next one then. */
    let computedUntil = 0;
    const upload = (sum: RangeSum, totals: Promise<Totals>, assignment: Assignment__Output) => {
      const sent = sending.then(async () => {
        const began = performance.now();
        // Not over a sum that the coordinator has not read yet.
        const where = place?.free ? place : null;
        const messages = messagesOf(sum, totals, assignment, size, memories, where);
        await sendAll<EncodedPartialSum | PartialSum>(gradients, messages, (message) => {
          if ('memory' in message) memories.push(message.memory);
        });
        span('send', began, { step: assignment.step });
      });
      sending = sent.catch(() => {}); // told by the assignment itself
      return sent;
    };

    const compute = async (assignment: Assignment__Output, signal: AbortSignal) => {
      const { id, step } = assignment;
      let began = performance.now();
      const microBatches = readAssignment(assignment, task, data);
      span('assignment', began, { step, microBatches: microBatches.length });
      if (!(await gate.reached(step, signal))) return; // the step is over without us
      if (assignment.kind === 'EVALUATE') {
        const losses = await pool.losses(microBatches, step, welcome.seed);
        if (!over) work.write({ evaluated: { assignment: id, losses } });
        return;
      }
      began = performance.now();
      const sum = pool.sum(microBatches, step, welcome.seed, CHUNK_VALUES, signal);
      const totals = sum.losses.then((losses) => {
        span('sum', began, { step, microBatches: microBatches.length });
        const now = performance.now();
        const seconds = (now - Math.max(began, computedUntil)) / 1000;
        computedUntil = now;
        return { losses, seconds };
      });
      totals.catch(() => {}); // told by what waits for the sum's pieces
      await upload(sum, totals, assignment).finally(sum.release);
    };

    /** Ends what is computed for an assignment. */
    const cancels = new Map<number, AbortController>();
    work.on('data', (message: CoordinatorMessage__Output) => {
      const { assignment } = message;
      if (message.cancel) cancels.get(message.cancel.assignment)?.abort();
      // One that leaves begins nothing new: what it does not answer goes to others with its goodbye.
      if (!assignment || over || leaving) return;
      busy += 1;
      const { id } = assignment;
      const cancel = new AbortController();
      cancels.set(id, cancel);
      compute(assignment, cancel.signal)
        .catch((error) => {
          if (over || cancel.signal.aborted) return;
          work.write({ failed: { assignment: id, reason: messageOf(error) } });
        })
        .finally(() => {
          busy -= 1;
          cancels.delete(id);
          leaveWhenIdle();
        });
    });

    const { backend, mode, device } = pool.info;
    const { modelHash: hash } = welcome;
    work.write({
      ready: { backend, mode, device, modelHash: hash, hasData: data !== null, choices: pool.choices },
    });
    joined = true;
    options.status(
      `${welcome.worker} computes with ${backend} (${mode}, ${device}) on ${threads(options.threads)}: ${pool.reason}${shared ? '; weights and sums are in shared memory' : ''}`,
    );
    const beat = setInterval(() => gradients.write({ heartbeat: {} }), welcome.heartbeatSeconds * 1000);
    close = () => {
      clearInterval(beat);
      gate.close();
      weights.cancel();
      gradients.cancel();
      return pool.close();
    };
    leaveWhenIdle();
  };

  work.on('data', (message: CoordinatorMessage__Output) => {
    if (message.welcome) {
      start(message.welcome).catch((error) => end({ kind: 'refused', reason: messageOf(error) }));
    } else if (message.refusal) {
      end({ kind: 'refused', reason: message.refusal.reason });
    } else if (message.finish) {
      const { reason, resumes } = message.finish;
      if (resumes) end({ kind: 'lost', reason: `stopped for now (${reason})`, joined, resumes });
      else end({ kind: 'finished', reason });
    }
  });
  work.on('error', (error: Error & { code?: number; details?: string }) => {
    if (saidGoodbye) return end({ kind: 'left' });
    const reason = explainStatus(error);
    if (error.code === status.UNAUTHENTICATED) end({ kind: 'unknown', reason });
    else if (error.code === status.UNIMPLEMENTED) end({ kind: 'refused', reason });
    else end({ kind: 'lost', reason, joined });
  });
  work.on('end', () =>
    end(saidGoodbye ? { kind: 'left' } : { kind: 'lost', reason: 'the coordinator hung up', joined }),
  );
  work.write({
    hello: {
      protocol: PROTOCOL_VERSION,
      software: options.version,
      name: options.name || hostname(),
      threads: options.threads,
      machine: machineKind(),
      place: options.shared?.place ?? 0,
      process: options.process,
    },
  });

  return {
    done,
    leave() {
      leaving = true;
      if (joined) leaveWhenIdle();
      else end({ kind: 'left' });
    },
  };
}

/**
 * What a sum is sent as: its pieces from the last to the first, each as soon as it is final, then the totals.
 * @param place in shared memory, where the pieces are put instead of being sent
 */
async function* messagesOf(
  sum: RangeSum,
  totals: Promise<Totals>,
  { id, step }: Assignment__Output,
  size: number,
  memories: ChunkMemory[],
  place: SharedTensor | null,
): AsyncGenerator<EncodedPartialSum | PartialSum> {
  const pools = new Map<number, BufferPool>();
  place?.take(id);
  let whole = false;
  try {
    for (const piece of piecesOf(size).reverse()) {
      const length = piece.to - piece.from;
      await sum.final(piece.from);
      const memory = memories.pop() ?? new ChunkMemory(CHUNK_VALUES);
      const values = memory.values.subarray(0, length);
      const pool = pools.get(length) ?? new BufferPool(length);
      pools.set(length, pool);
      sum.read(piece.from, values, pool);
      if (place === null) {
        yield memory.partialSum(id, step, piece, size);
        continue;
      }
      const held = place.write(id, piece.from, values);
      memories.push(memory);
      if (!held) throw new Error('its place in shared memory was taken');
      yield { assignment: id, chunk: announce(step, piece, size) };
    }
    const told = await totals;
    whole = true;
    yield { assignment: id, totals: told };
  } finally {
    // What was announced of it is read no more; with the totals, the coordinator gives the place back.
    if (!whole) place?.give(id);
  }
}

function threads(count: number): string {
  return count === 1 ? '1 thread' : `${count} threads`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
