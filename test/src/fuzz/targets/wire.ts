import { X509Certificate } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { crc32 } from 'node:zlib';
import {
  Authority,
  ChunkMemory,
  type CoordinatorMessage,
  createRequest,
  type PartialSum,
  PROTOCOL_VERSION,
  readChunk,
  TensorAssembler,
  type TensorChunk__Output,
  Training,
  type WorkerMessage,
} from '@manyhands/proto';
import type { Target } from '../target.js';

/** Values of the array that chunks are pieces of: one piece, so that an input stays small. */
const SIZE = 100;

const { Enroll, Work, Weights, Gradients } = Training.service;

export const helloMessage = {
  hello: {
    protocol: PROTOCOL_VERSION,
    software: '1',
    name: 'ada',
    threads: 2,
    machine: 'a machine',
    place: 0,
  },
};
export const readyMessage = (modelHash: string) => ({
  ready: { backend: 'cpu', mode: 'wasm', device: 'x', modelHash, hasData: false, choices: '' },
});
export const losses = { sums: [1.5, 2.5], targets: [3, 4] };

const workerMessages: readonly WorkerMessage[] = [
  helloMessage,
  readyMessage('0'.repeat(64)),
  { evaluated: { assignment: 3, losses } },
  { failed: { assignment: 3, reason: 'out of memory' } },
  { goodbye: { reason: 'lid closed' } },
];

const coordinatorMessages: readonly CoordinatorMessage[] = [
  {
    welcome: {
      worker: 'ada-1',
      run: 'a run',
      model: '{}',
      modelHash: '0'.repeat(64),
      seed: 1,
      heartbeatSeconds: 2,
      dataHash: '1'.repeat(64),
      shapes: [{ sequences: 2, time: 8, train: true }],
      choices: '{}',
    },
  },
  { refusal: { reason: 'another protocol' } },
  {
    assignment: {
      id: 5,
      kind: 'TRAIN',
      step: 7,
      range: { first: 2, count: 2 },
      microBatches: [
        { batch: 1, time: 2, tokens: Buffer.from(Int32Array.of(1, 2, -1).buffer) },
        { batch: 1, time: 2, windows: [{ split: 'VALIDATION', source: 1, offset: 12 }] },
      ],
    },
  },
  { finish: { reason: 'all done' } },
];

const piece = { index: 0, from: 0, to: SIZE };

function memoryOf(scale: number): ChunkMemory {
  const memory = new ChunkMemory(SIZE);
  memory.values.set(Float32Array.from({ length: SIZE }, (_, i) => scale / (i + 1)));
  return memory;
}

const partialSumMessages: readonly PartialSum[] = [
  memoryOf(1).partialSum(5, 1, piece, SIZE),
  { assignment: 5, totals: { losses, seconds: 1 } },
  { heartbeat: {} },
];
export const partialSums = partialSumMessages.map(Gradients.requestSerialize);

/** The chunk with the checksum of the data that it has. */
function sealed(chunk: TensorChunk__Output): TensorChunk__Output {
  return { ...chunk, checksum: crc32(chunk.data) };
}

/** One direction of a call: how messages are written, read, and checked after reading. */
interface Direction<Message extends object, Output extends object> {
  write(message: Message): Buffer;
  read(bytes: Buffer): Output;
  readonly seeds: readonly Message[];
  check?(output: Output): void;
  seal?(output: Output): Message;
}

function direction<Message extends object, Output extends Message>(
  share: number,
  { write, read, seeds, check, seal }: Direction<Message, Output>,
): Target {
  return {
    form: 'protobuf',
    share,
    // What protobuf.js says about bytes that are no message; gRPC ends the call with it.
    refusals: ['RangeError'],
    open: async () => ({
      seeds: seeds.map(write),
      ...(seal && { seal: (input) => whole(input, (output) => write(seal(output)), read) }),
      read: (input) => {
        const output = read(Buffer.from(input));
        if (!isDeepStrictEqual(read(write(output)), output)) {
          throw new TypeError('a message does not read back');
        }
        check?.(output);
      },
    }),
  };
}

/** What `then` makes of the message, or the bytes as they are where they are none. */
function whole<Output>(
  input: Uint8Array,
  then: (output: Output) => Uint8Array,
  read: (bytes: Buffer) => Output,
): Uint8Array {
  let output: Output;
  try {
    output = read(Buffer.from(input));
  } catch {
    return input;
  }
  return then(output);
}

/** What a worker wants a certificate for: PKCS #10 in DER. */
const certificateRequest: Target = {
  form: 'bytes',
  share: 6,
  refusals: ['RequestError'],
  open: async () => {
    const { authority } = await Authority.create();
    const { request } = await createRequest();
    return {
      seeds: [request],
      read: async (input) => new X509Certificate(await authority.forWorker('ada-1', input)),
    };
  },
};

/** Every message of training.proto as it is read from the wire, and what its receiver checks first. */
export const wireTargets = {
  'worker-message': direction(16, {
    write: Work.requestSerialize,
    read: Work.requestDeserialize,
    seeds: workerMessages,
  }),
  'coordinator-message': direction(16, {
    write: Work.responseSerialize,
    read: Work.responseDeserialize,
    seeds: coordinatorMessages,
  }),
  'partial-sum': direction(16, {
    write: Gradients.requestSerialize,
    read: Gradients.requestDeserialize,
    seeds: partialSumMessages,
    check: ({ chunk }) => {
      if (chunk) readChunk(chunk, SIZE);
    },
    seal: (sum) => (sum.chunk ? { ...sum, chunk: sealed(sum.chunk) } : sum),
  }),
  'tensor-chunk': direction(16, {
    write: Weights.responseSerialize,
    read: Weights.responseDeserialize,
    seeds: [memoryOf(1).chunk(1, piece, SIZE), memoryOf(2).chunk(2 ** 32 - 1, piece, SIZE)],
    check: (chunk) => {
      new TensorAssembler(new Float32Array(SIZE)).add(chunk);
    },
    seal: sealed,
  }),
  'enroll-request': direction(8, {
    write: Enroll.requestSerialize,
    read: Enroll.requestDeserialize,
    seeds: [
      {
        protocol: PROTOCOL_VERSION,
        software: '1',
        token: 'x'.repeat(32),
        name: 'ada',
        request: Buffer.from('der'),
      },
    ],
  }),
  'enroll-response': direction(2, {
    write: Enroll.responseSerialize,
    read: Enroll.responseDeserialize,
    seeds: [{ certificate: Buffer.from('der') }],
  }),
  'certificate-request': certificateRequest,
  'weights-request': direction(1, {
    write: Weights.requestSerialize,
    read: Weights.requestDeserialize,
    seeds: [{}],
  }),
  'gradients-summary': direction(1, {
    write: Gradients.responseSerialize,
    read: Gradients.responseDeserialize,
    seeds: [{}],
  }),
} as const satisfies Record<string, Target>;
