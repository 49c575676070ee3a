import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { TensorChunk__Output } from './generated/manyhands/v1/TensorChunk.js';
import {
  CHUNK_VALUES,
  ChunkMemory,
  pieceCount,
  piecesOf,
  readChunk,
  TensorAssembler,
  TensorError,
} from './tensor-chunks.js';
import { Training } from './wire.js';

const { Weights, Gradients } = Training.service;

const tensor = (size: number, seed = 1) =>
  Float32Array.from({ length: size }, (_, i) => Math.fround(seed / (i + 1)));

/** A piece of an array in memory of its own. */
function memoryOf(values: Float32Array, { from, to }: { from: number; to: number }): ChunkMemory {
  const memory = new ChunkMemory(CHUNK_VALUES);
  memory.values.set(values.subarray(from, to));
  return memory;
}

/** What arrives of an array, as gRPC hands it on: with five bytes before each message. */
function arrived(values: Float32Array, version: number): TensorChunk__Output[] {
  return piecesOf(values.length).map((piece) => {
    const chunk = memoryOf(values, piece).chunk(version, piece, values.length);
    return Weights.responseDeserialize(framed(Weights.responseSerialize(chunk)));
  });
}

function framed(message: Buffer): Buffer {
  return Buffer.concat([Buffer.alloc(5), message]).subarray(5);
}

test('an array of any size arrives bit for bit, and the next one after it', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: CHUNK_VALUES * 2 + 3 }), (size) => {
      const received = new Float32Array(size);
      const assembler = new TensorAssembler(received);
      for (const version of [3, 4]) {
        const sent = tensor(size, version);
        const chunks = arrived(sent, version);
        assert.equal(chunks.length, pieceCount(size));
        for (const [i, chunk] of chunks.entries())
          assert.equal(assembler.add(chunk), i === chunks.length - 1);
        assert.deepEqual(received, sent);
      }
    }),
    { numRuns: 20 },
  );
});

test('the numbers of what arrives lie as aligned as those that they are copied to', () => {
  const values = tensor(CHUNK_VALUES + 5, 1);
  for (const chunk of arrived(values, 7)) assert.equal(chunk.data.byteOffset % 8, 0);
  for (const piece of piecesOf(values.length)) {
    const sent = memoryOf(values, piece).partialSum(3, 7, piece, values.length);
    const { chunk } = Gradients.requestDeserialize(framed(Gradients.requestSerialize(sent)));
    assert.equal((chunk?.data.byteOffset ?? 1) % 8, 0);
  }
});

test('what is encoded by hand is what protobuf reads, at the ends of every field’s range', () => {
  const most = { uint32: 2 ** 32 - 1, index: 2 ** 32 };
  for (const assignment of [0, 1, most.uint32]) {
    for (const version of [0, 300, most.uint32]) {
      for (const index of [0, 5, most.index]) {
        const piece = { index, from: index * CHUNK_VALUES, to: index * CHUNK_VALUES + 7 };
        const memory = new ChunkMemory(7);
        memory.values.set([1, 2, 3, 4, 5, 6, 7]);
        const sent = memory.partialSum(assignment, version, piece, piece.to);
        const read = Gradients.requestDeserialize(Gradients.requestSerialize(sent));
        assert.equal(read.assignment, assignment);
        const { wire, ...chunk } = { wire: sent.wire, ...sent.chunk };
        assert.deepEqual({ ...read.chunk, data: null }, { ...chunk, data: null, shared: false });
        assert.deepEqual(
          read.chunk?.data,
          Buffer.from(memory.values.buffer).subarray(memory.values.byteOffset),
        );
        assert.equal(read.totals, null);
      }
    }
  }
});

test('values are read where the message lies, without a copy', () => {
  const [chunk] = arrived(tensor(100), 1);
  const { values } = readChunk(chunk, 100);
  assert.equal(values?.buffer, chunk.data.buffer);
  const odd = { ...chunk, data: Buffer.concat([Buffer.alloc(1), chunk.data]).subarray(1) };
  assert.deepEqual(readChunk(odd, 100).values, values);
});

test('totals go as a message of their own', () => {
  const totals = { losses: { sums: [1.5, 2.25], targets: [3, 4] }, seconds: 0.5 };
  const read = Gradients.requestDeserialize(Gradients.requestSerialize({ assignment: 7, totals }));
  assert.deepEqual(read.totals?.losses?.sums, [1.5, 2.25]);
  assert.equal(read.chunk, null);
});

test('any bytes are a message or one clear error, and a message is whole or refused', () => {
  const size = 50;
  const [piece] = piecesOf(size);
  const { wire } = memoryOf(tensor(size), piece).partialSum(3, 2, piece, size);
  const noise = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));
  const mutated = fc
    .array(fc.tuple(fc.nat(wire.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 })
    .map((changes) => {
      const copy = Buffer.from(wire);
      for (const [at, byte] of changes) copy[at] = byte;
      return copy;
    });
  const cut = fc.nat(wire.length).map((length) => wire.subarray(0, length));
  fc.assert(
    fc.property(fc.oneof(noise, mutated, cut), (bytes) => {
      let message: ReturnType<typeof Gradients.requestDeserialize>;
      try {
        message = Gradients.requestDeserialize(bytes);
      } catch (error) {
        assert.ok(error instanceof Error && error.message.length > 0 && error.message.length < 200);
        return;
      }
      if (!message.chunk) return;
      assert.ok(message.chunk.data.length <= bytes.length);
      try {
        assert.deepEqual(readChunk(message.chunk, size).values, tensor(size));
      } catch (error) {
        assert.ok(error instanceof TensorError, String(error));
      }
    }),
    { numRuns: 2000 },
  );
});

const size = CHUNK_VALUES * 2;
const faults: Record<string, (chunks: TensorChunk__Output[]) => unknown> = {
  'a flipped bit': (chunks) => {
    chunks[1].data[7] ^= 4;
  },
  'a missing piece': (chunks) => chunks.splice(0, 1),
  'a doubled piece': (chunks) => chunks.splice(1, 0, chunks[0]),
  'pieces in the wrong order': (chunks) => chunks.reverse(),
  'a piece of another version': (chunks) => {
    chunks[1].version += 1;
  },
  'another size': (chunks) => {
    chunks[0].total += 4;
  },
  'a piece off the grid': (chunks) => {
    chunks[1].offset += 4;
  },
  'an empty piece': (chunks) => {
    chunks[0].data = Buffer.alloc(0);
  },
  'a piece past the end': (chunks) => {
    chunks[1].offset = 4 * size;
  },
};
for (const [name, damage] of Object.entries(faults)) {
  test(`${name} is refused`, () => {
    const chunks = arrived(tensor(size), 1);
    damage(chunks);
    const assembler = new TensorAssembler(new Float32Array(size));
    assert.throws(() => {
      for (const chunk of chunks) assembler.add(chunk);
    }, TensorError);
  });
}
