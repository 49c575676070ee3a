import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { fstatSync } from 'node:fs';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { SharedMemory, type SharedTensor } from './shared-memory.js';
import {
  announce,
  CHUNK_VALUES,
  piecesOf,
  readChunk,
  TensorAssembler,
  TensorError,
} from './tensor-chunks.js';
import { Training } from './wire.js';

const { Weights } = Training.service;

const memory = SharedMemory.create();
after(() => memory?.close());
const skip = memory === null && 'this system has no files in memory';

function shared(): SharedMemory {
  assert.ok(memory);
  return memory;
}

const tensor = (size: number, seed: number) =>
  Float32Array.from({ length: size }, (_, i) => Math.fround(seed / (i + 1)));

function arrived(version: number, size: number) {
  return piecesOf(size).map((piece) =>
    Weights.responseDeserialize(Weights.responseSerialize(announce(version, piece, size))),
  );
}

test('arrays side by side hold what was written to each, bit for bit', { skip }, () => {
  const size = 2 * CHUNK_VALUES + 3;
  assert.ok(shared().reserve(size, 3));
  const tensors = [0, 1, 2].map((index) => shared().tensor(index, size));
  for (const [tag, each] of tensors.entries()) {
    assert.ok(each.free);
    each.take(tag);
    assert.ok(each.write(tag, 0, tensor(size, tag + 1)));
  }
  fc.assert(
    fc.property(fc.nat(2), fc.nat(size - 1), fc.integer({ min: 1, max: 5000 }), (tag, from, length) => {
      const read = new Float32Array(Math.min(length, size - from));
      assert.ok(tensors[tag].read(tag, from, read));
      assert.deepEqual(read, tensor(size, tag + 1).subarray(from, from + read.length));
    }),
    { numRuns: 200 },
  );
});

test('who holds an array no more neither reads nor writes it', { skip }, () => {
  shared().reserve(10, 1);
  const one = shared().tensor(0, 10);
  const other = shared().tensor(0, 10);
  one.take(4);
  assert.ok(one.write(4, 0, tensor(10, 1)));
  other.take(5);
  assert.equal(one.free, false);
  assert.equal(one.write(4, 0, tensor(10, 2)), false);
  assert.ok(other.write(5, 0, tensor(10, 3)));
  const read = new Float32Array(10);
  assert.equal(one.read(4, 0, read), false);
  assert.ok(one.read(5, 0, read));
  assert.deepEqual(read, tensor(10, 3));
  one.give(4);
  assert.equal(other.free, false, 'what is another’s is not given back');
  other.give(5);
  assert.ok(one.free);
  assert.equal(one.read(5, 0, read), false);
});

test('a child process finds it in the descriptor that it inherits; no name leads there', { skip }, () => {
  assert.equal(fstatSync(shared().descriptor).nlink, 0);
  assert.equal(fstatSync(shared().descriptor).mode & 0o777, 0o600);
  shared().reserve(CHUNK_VALUES, 1);
  shared().tensor(0, CHUNK_VALUES).take(0);
  const code = `
    const { SharedMemory } = await import(${JSON.stringify(new URL('./shared-memory.js', import.meta.url).href)});
    const tensor = SharedMemory.inherited(3).tensor(0, ${CHUNK_VALUES});
    process.exitCode = tensor.write(0, 7, Float32Array.of(1.5, 2.5)) ? 0 : 1;`;
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['ignore', 'ignore', 'inherit', shared().descriptor],
  });
  assert.equal(child.status, 0);
  const read = new Float32Array(2);
  assert.ok(shared().tensor(0, CHUNK_VALUES).read(0, 7, read));
  assert.deepEqual(read, Float32Array.of(1.5, 2.5));
});

test('announced versions are read one after the other; one that is overwritten is let go', { skip }, () => {
  const size = CHUNK_VALUES + 5;
  shared().reserve(size, 1);
  const place: SharedTensor = shared().tensor(0, size);
  const received = new Float32Array(size);
  const assembler = new TensorAssembler(received, place);
  const publish = (version: number) => {
    place.take(version);
    place.write(version, 0, tensor(size, version + 1));
    return arrived(version, size);
  };
  assert.deepEqual(
    publish(2).map((chunk) => assembler.add(chunk)),
    [false, true],
  );
  assert.deepEqual(received, tensor(size, 3));
  const [first, second] = publish(4);
  assert.equal(assembler.add(first), false);
  const later = publish(6);
  assert.equal(assembler.add(second), false);
  assert.deepEqual(
    later.map((chunk) => assembler.add(chunk)),
    [false, true],
  );
  assert.deepEqual(received, tensor(size, 7));
});

test('an announcement where nothing is shared, or with data, is refused', { skip }, () => {
  const [chunk] = arrived(1, 10);
  assert.throws(() => readChunk(chunk, 10), TensorError);
  const place = { tensor: shared().tensor(0, 10), tag: 1 };
  assert.throws(() => readChunk({ ...chunk, data: Buffer.alloc(40) }, 10, place), TensorError);
});
