import { hostname } from 'node:os';
import { type BackendChoice, machineKind } from '@manyhands/core/kernels';
import { createModel, type Model, modelHash, parseModelConfig } from '@manyhands/core/model';
import { type MicroBatch, microBatchFromTokens } from '@manyhands/core/train';
import {
  type Assignment__Output,
  type CoordinatorMessage__Output,
  chunksOf,
  connect,
  explainStatus,
  type JoinUrl,
  type MicroBatch__Output,
  type PartialSum,
  PROTOCOL_VERSION,
  sendAll,
  status,
  TensorAssembler,
  type Welcome__Output,
} from '@manyhands/proto';
import { ThreadPool } from './pool.js';
import type { LocalShards } from './shards.js';
import { WeightsGate } from './weights-gate.js';

export interface SessionOptions {
  readonly join: JoinUrl;
  readonly threads: number;
  readonly backend: BackendChoice;
  readonly name: string;
  readonly version: string;
  readonly shards: LocalShards;
  status(text: string): void;
}

/** How one connection to a coordinator ended. */
export type SessionEnd =
  | { readonly kind: 'finished'; readonly reason: string }
  /** Said goodbye because it was asked to. */
  | { readonly kind: 'left' }
  /** The connection broke or was never made; `joined` tells whether work had begun. */
  | { readonly kind: 'lost'; readonly reason: string; readonly joined: boolean }
  /** Trying again would end the same way. */
  | { readonly kind: 'refused'; readonly reason: string };

/** How long a worker that leaves waits for the coordinator to hear it. */
const FAREWELL_MILLISECONDS = 2000;

/** One connection, from hello to goodbye. `leave` finishes what was assigned, says goodbye and resolves `done`. */
export function openSession(options: SessionOptions): { done: Promise<SessionEnd>; leave(): void } {
  const { client, metadata } = connect(options.join);
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
    const model = createModel(parseModelConfig(welcome.model));
    if (modelHash(model) !== welcome.modelHash) {
      return end({
        kind: 'refused',
        reason:
          'the coordinator has another version of this model: install the same version of manyhands on both',
      });
    }
    options.status(`${welcome.worker} joined run ${welcome.run}; preparing ${threads(options.threads)}`);
    const pool = await ThreadPool.create({
      model,
      backend: options.backend,
      reproducible: welcome.reproducible,
      threads: options.threads,
      choices: welcome.choices === '' ? null : welcome.choices,
    });
    close = () => pool.close();
    if (over) return close();
    const data = await options.shards.find(welcome.dataHash);
    const gate = new WeightsGate();
    const callMetadata = metadata.clone();
    callMetadata.set('worker', welcome.worker);

    const weights = client.Weights({}, callMetadata);
    const assemblers = [0, 1].map((slot) => new TensorAssembler(pool.weightsFor(slot)));
    weights.on('data', (chunk) => {
      try {
        if (assemblers[chunk.version % 2].add(chunk)) gate.arrived(chunk.version);
      } catch (error) {
        end({ kind: 'lost', reason: messageOf(error), joined });
      }
    });
    weights.on('error', (error) => end({ kind: 'lost', reason: explainStatus(error), joined }));

    const gradients = client.Gradients(callMetadata, (error) => {
      if (error) end({ kind: 'lost', reason: explainStatus(error), joined });
    });
    gradients.on('error', () => {}); // the callback above tells

    // One sum after the other: the pieces of two are never mixed.
    let sending: Promise<unknown> = Promise.resolve();
    const upload = (parts: Iterable<PartialSum>) => {
      sending = sending.then(() => sendAll(gradients, parts));
      return sending;
    };

    const compute = async (assignment: Assignment__Output) => {
      const { id, step } = assignment;
      const microBatches = readAssignment(assignment, model, data);
      if (!(await gate.reached(step))) return; // a later version came: the step is over without us
      const started = performance.now();
      if (assignment.kind === 'EVALUATE') {
        const losses = await pool.losses(microBatches, step);
        if (!over) work.write({ evaluated: { assignment: id, losses } });
        return;
      }
      const { sum, losses, release } = await pool.sum(microBatches, step, welcome.seed);
      const totals = { losses, seconds: (performance.now() - started) / 1000 };
      await upload(piecesOf(sum, id, step, totals));
      release();
    };

    work.on('data', (message: CoordinatorMessage__Output) => {
      const { assignment } = message;
      // One that leaves begins nothing new: what it does not answer goes to others with its goodbye.
      if (!assignment || over || leaving) return;
      busy += 1;
      compute(assignment)
        .catch((error) => {
          if (!over) work.write({ failed: { assignment: assignment.id, reason: messageOf(error) } });
        })
        .finally(() => {
          busy -= 1;
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
      `${welcome.worker} computes with ${backend} (${mode}, ${device}) on ${threads(options.threads)}: ${pool.reason}`,
    );
    const beat = setInterval(() => work.write({ heartbeat: {} }), welcome.heartbeatSeconds * 1000);
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
      end({ kind: 'finished', reason: message.finish.reason });
    }
  });
  work.on('error', (error: Error & { code?: number; details?: string }) => {
    if (saidGoodbye) return end({ kind: 'left' });
    const fatal = error.code === status.UNAUTHENTICATED || error.code === status.UNIMPLEMENTED;
    const reason = explainStatus(error);
    end(fatal ? { kind: 'refused', reason } : { kind: 'lost', reason, joined });
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

type LocalData = NonNullable<Awaited<ReturnType<LocalShards['find']>>>;

function* piecesOf(
  sum: Float32Array,
  assignment: number,
  step: number,
  totals: NonNullable<PartialSum['totals']>,
): Generator<PartialSum> {
  for (const chunk of chunksOf(sum, step)) {
    const last = chunk.offset + chunk.data.length === chunk.total;
    yield { assignment, chunk, ...(last && { totals }) };
  }
}

/** @throws Error where a micro-batch is not what the model can take: a damaged or hostile message */
function readAssignment(assignment: Assignment__Output, model: Model, data: LocalData | null): MicroBatch[] {
  const range = assignment.range ?? { first: 0, count: 0 };
  if (range.count < 1 || range.count !== assignment.microBatches.length) {
    throw new Error(`a range of ${range.count} micro-batches came with ${assignment.microBatches.length}`);
  }
  return assignment.microBatches.map((part, index) => readMicroBatch(part, range.first + index, model, data));
}

function readMicroBatch(
  part: MicroBatch__Output,
  index: number,
  model: Model,
  data: LocalData | null,
): MicroBatch {
  const { batch, time, windows } = part;
  if (batch < 1 || time < 1 || time > model.config.context) {
    throw new Error(`a micro-batch of ${batch} × ${time} does not fit a context of ${model.config.context}`);
  }
  const tokens = new Int32Array(batch * (time + 1));
  if (windows.length > 0) {
    if (data === null) throw new Error('positions came instead of tokens, but no shards are here');
    if (windows.length !== batch) throw new Error(`${windows.length} windows came for ${batch} sequences`);
    for (const [row, { split, source, offset }] of windows.entries()) {
      const window = {
        split: split === 'TRAIN' ? ('train' as const) : ('validation' as const),
        source,
        offset,
      };
      tokens.set(data.tokens(window, time), row * (time + 1));
    }
  } else {
    if (part.tokens.length !== tokens.byteLength) {
      throw new Error(`${part.tokens.length} bytes of tokens came where ${tokens.byteLength} were expected`);
    }
    for (let i = 0; i < tokens.length; i++) tokens[i] = part.tokens.readInt32LE(4 * i);
  }
  for (const token of tokens) {
    if (token < -1 || token >= model.config.vocab) {
      throw new Error(`token ${token} is not in a vocabulary of ${model.config.vocab}`);
    }
  }
  return microBatchFromTokens(index, tokens, batch, time);
}

function threads(count: number): string {
  return count === 1 ? '1 thread' : `${count} threads`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
