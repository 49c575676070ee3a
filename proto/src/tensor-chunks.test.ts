import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CHUNK_BYTES, type Chunk, chunksOf, TensorAssembler, TensorError } from './tensor-chunks.js';

const tensor = (size: number, seed = 1) =>
  Float32Array.from({ length: size }, (_, i) => Math.fround(seed / (i + 1)));
const copies = (chunks: Iterable<Chunk>) =>
  [...chunks].map((chunk) => ({ ...chunk, data: Buffer.from(chunk.data) }));

test('a tensor of any size arrives bit for bit, and the next one after it', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: (CHUNK_BYTES / 4) * 2 + 3 }), (size) => {
      const received = new Float32Array(size);
      const assembler = new TensorAssembler(received);
      for (const version of [3, 4]) {
        const sent = tensor(size, version);
        const chunks = [...chunksOf(sent, version)];
        assert.equal(chunks.length, Math.ceil((size * 4) / CHUNK_BYTES));
        for (const [i, chunk] of chunks.entries())
          assert.equal(assembler.add(chunk), i === chunks.length - 1);
        assert.deepEqual(received, sent);
      }
    }),
    { numRuns: 20 },
  );
});

test('a view into a larger array sends its own values only', () => {
  const whole = tensor(100);
  const received = new Float32Array(10);
  const assembler = new TensorAssembler(received);
  for (const chunk of chunksOf(whole.subarray(40, 50), 0)) assembler.add(chunk);
  assert.deepEqual(received, whole.slice(40, 50));
});

const size = (CHUNK_BYTES / 4) * 2;
const faults: Record<string, (chunks: Chunk[]) => unknown> = {
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
  'an empty piece': (chunks) => {
    chunks[0].data = Buffer.alloc(0);
  },
  'a piece past the end': (chunks) => {
    chunks[1].data = Buffer.alloc(CHUNK_BYTES + 4);
  },
};
for (const [name, damage] of Object.entries(faults)) {
  test(`${name} is refused`, () => {
    const chunks = copies(chunksOf(tensor(size), 1));
    damage(chunks);
    const assembler = new TensorAssembler(new Float32Array(size));
    assert.throws(() => {
      for (const chunk of chunks) assembler.add(chunk);
    }, TensorError);
  });
}
