import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { KernelError } from '../kernels.js';
import { Arena } from './arena.js';
import { createCpuKernels } from './cpu-kernels.js';

const MEGABYTE = 1_000_000;

describe("the cpu backend's memory", () => {
  test('grows under tensors that keep their values and their places', async () => {
    const kernels = await createCpuKernels();
    const x = kernels.tensor(Float32Array.of(1, 2, 3), [3]);
    const large = Array.from({ length: 4 }, (_, i) =>
      kernels.tensor(new Float32Array(MEGABYTE).fill(i), [MEGABYTE]),
    );
    assert.deepEqual([...(await kernels.read(kernels.add(x, x)))], [2, 4, 6]);
    for (const [i, tensor] of large.entries()) {
      assert.ok((await kernels.read(tensor)).every((value) => value === i));
    }
  });

  test('is used again after a release', () => {
    const arena = new Arena(2 ** 24);
    const kept = arena.make([10]);
    for (let i = 0; i < 1000; i++) {
      const mark = arena.mark();
      assert.equal(arena.make([1000, 1000]).offset, kept.end);
      arena.make([3]);
      arena.release(mark);
    }
    assert.ok(arena.memory.buffer.byteLength < 8 * MEGABYTE);
  });

  test('is used up to its last byte and not beyond', () => {
    const arena = new Arena(20 * 65_536);
    arena.reserve(65_536);
    arena.make([(19 * 65_536) / 4]);
    assert.throws(() => arena.make([1]), KernelError);
  });

  test('says what it needs, what it may use and what to do where a tensor does not fit', async () => {
    const kernels = await createCpuKernels({ maximumBytes: 8 * MEGABYTE });
    const x = kernels.tensor(Float32Array.of(1, 2), [2]);
    assert.throws(() => kernels.zeros([1000, 1000, 3]), {
      name: 'KernelError',
      message: /needs 13 MB .* may use 8 MB: use smaller micro-batches \(batch\.microBatch\)/,
    });
    assert.deepEqual([...(await kernels.read(kernels.add(x, x)))], [2, 4], 'goes on with what it has');
  });

  test('refuses a limit that is none', async () => {
    for (const maximumBytes of [0, -1, 1.5, Number.NaN, 2 ** 33]) {
      await assert.rejects(createCpuKernels({ maximumBytes }), KernelError);
    }
  });

  test('a mark taken before a release frees only what was made after it', async () => {
    const kernels = await createCpuKernels();
    const early = kernels.mark();
    kernels.zeros([1]);
    const late = kernels.mark();
    kernels.release(early);
    const made = kernels.tensor(Float32Array.of(7), [1]);
    kernels.release(late);
    await assert.rejects(kernels.read(made), KernelError);
  });
});
