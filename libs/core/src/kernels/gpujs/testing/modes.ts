import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { DROPOUT, dropoutMask, philox } from '../../../numeric/index.js';
import { conformance } from '../../conformance.js';
import { KernelError } from '../../kernels.js';
import type { GpuMode } from '../foreign.js';
import type { GpuKernels } from '../gpu-kernels.js';
import { createGpuKernels } from '../index.js';
import { programsHold } from './programs.js';
import { withKernels } from './with-kernels.js';

/** What holds in every mode. WebGPU's turn comes in a process that finds a GPU. */
export function holdsInMode(mode: GpuMode): void {
  let launched: GpuKernels['launched'] = [];
  const create = async () => {
    const kernels = await createGpuKernels({ mode });
    launched = kernels.launched;
    return kernels;
  };
  conformance(`gpu.js in mode ${mode}`, create, 1e-5);

  programsHold(mode);

  describe(`gpu.js in mode ${mode}`, () => {
    it('conforms with every program of its own, each run in that mode', () => {
      for (const { kernel, mode: ran, fallbackReason } of launched) {
        assert.deepEqual({ kernel, ran, fallbackReason }, { kernel, ran: mode, fallbackReason: null });
      }
      const names = new Set(launched.map(({ kernel }) => kernel));
      names.add('replaceBlock'); // for programs alone, which have tests of their own
      assert.deepEqual([...names].sort(), programNames().sort());
    });

    it('says what computes, and has run its kernels in that mode', () =>
      withKernels(mode, async (kernels) => {
        assert.equal(kernels.info.backend, 'gpujs');
        assert.equal(kernels.info.mode, mode);
        assert.notEqual(kernels.info.device, '');
        const ones = kernels.tensor(new Float32Array(6).fill(1), [2, 3]);
        await kernels.read(kernels.activation(kernels.add(ones, ones), 'gelu'));
        assert.deepEqual(kernels.launched, [
          { kernel: 'sum', mode, fallbackReason: null, launches: 1 },
          { kernel: 'gelu', mode, fallbackReason: null, launches: 1 },
        ]);
      }));

    it('drops the entries that numeric drops, to the bit, wherever in a run the dropout stands', () =>
      withKernels(mode, async (kernels) => {
        const word = fc.oneof(
          fc.integer({ min: 0, max: 2 ** 32 - 1 }),
          fc.constantFrom(0, 65535, 65536, 2 ** 32 - 1),
        );
        const place = fc.record({ seed: word, step: word, microBatch: word, layer: word });
        await fc.assert(
          fc.asyncProperty(
            place,
            fc.integer({ min: 1, max: 40 }),
            fc.integer({ min: 1, max: 40 }),
            async (key, n, c) => {
              const ones = kernels.tensor(new Float32Array(n * c).fill(1), [n, c]);
              assert.deepEqual(
                await kernels.read(kernels.dropout(ones, 0.3, key)),
                dropoutMask(n * c, 0.3, key),
              );
            },
          ),
          { numRuns: 15 },
        );
        // So many blocks of four entries that the number of one needs both halves of its word.
        const key = { seed: 7, step: 1, microBatch: 2, layer: 3 };
        const ones = kernels.tensor(new Float32Array(520 * 520).fill(1), [520, 520]);
        const kept = await kernels.read(kernels.dropout(ones, 0.1, key));
        assert.ok(Buffer.from(kept.buffer).equals(Buffer.from(dropoutMask(520 * 520, 0.1, key).buffer)));
      }));

    it('drops an entry from the probability on at which numeric drops it, and not before', () =>
      withKernels(mode, async (kernels) => {
        const key = { seed: 1, step: 2, microBatch: 3, layer: 4 };
        const words = new Uint32Array(4);
        philox([key.seed, key.step], [0, key.microBatch, key.layer, DROPOUT], words);
        const ones = kernels.tensor(new Float32Array(4).fill(1), [1, 4]);
        for (const [entry, word] of words.entries()) {
          const before = await kernels.read(kernels.dropout(ones, word / 2 ** 32, key));
          const after = await kernels.read(kernels.dropout(ones, (word + 1) / 2 ** 32, key));
          assert.deepEqual([before[entry] > 0, after[entry]], [true, 0]);
        }
      }));

    it('shows a write to what is called after it, and only to that', () =>
      withKernels(mode, async (kernels) => {
        const weights = kernels.tensor(Float32Array.of(1, 2), [1, 2]);
        const before = kernels.add(weights, weights);
        kernels.write(weights, Float32Array.of(10, 20));
        const after = kernels.add(weights, weights);
        kernels.writeRows(weights, 0, before);
        assert.deepEqual(await kernels.read(before), Float32Array.of(2, 4));
        assert.deepEqual(await kernels.read(after), Float32Array.of(20, 40));
        assert.deepEqual(await kernels.read(weights), Float32Array.of(2, 4));
      }));

    it('compiles nothing for a sequence that grows', () =>
      withKernels(mode, async (kernels) => {
        const shape = { batch: 1, heads: 2, kvHeads: 1, headDim: 2 };
        const cache = kernels.zeros([8, 8]);
        const grow = async (first: number) => {
          kernels.writeRows(cache, first, kernels.zeros([1, 8]));
          await kernels.read(kernels.attention(cache, { ...shape, time: first + 1, first }).out);
          return kernels.launched.length;
        };
        const compiled = await grow(1);
        for (const first of [2, 3, 7]) assert.equal(await grow(first), compiled);
      }));

    it('copies what it is given when it is called', () =>
      withKernels(mode, async (kernels) => {
        const data = Float32Array.of(1, 2);
        const tensor = kernels.tensor(data, [2]);
        data.fill(9);
        assert.deepEqual(await kernels.read(tensor), Float32Array.of(1, 2));
      }));

    it('frees what was made after a mark, once it was used, and nothing else', () =>
      withKernels(mode, async (kernels) => {
        const kept = kernels.tensor(Float32Array.of(1, 2), [1, 2]);
        const mark = kernels.mark();
        const sum = kernels.add(kept, kept);
        const reading = kernels.read(sum);
        kernels.release(mark);
        assert.throws(() => kernels.add(sum, kept), {
          name: 'KernelError',
          message: 'the tensor was released',
        });
        assert.deepEqual(await reading, Float32Array.of(2, 4));
        assert.deepEqual(await kernels.read(kept), Float32Array.of(1, 2));
        kernels.zeros([1]);
        kernels.release(mark);
        assert.deepEqual(await kernels.read(kept), Float32Array.of(1, 2));
      }));

    it('hands the error of a call to every read that depends on it, and to no other', () =>
      withKernels(mode, async (kernels) => {
        const unhandled: unknown[] = [];
        const listener = (error: unknown) => unhandled.push(error);
        process.on('unhandledRejection', listener);
        const gradient = kernels.tensor(Float32Array.of(1, 2), [1, 2]);
        // A table of 64 GiB is more than any mode holds.
        const failing = kernels.embeddingBackward(gradient, kernels.indices(Int32Array.of(0)), 2 ** 33);
        const next = kernels.add(failing, failing);
        const sound = kernels.add(gradient, gradient);
        assert.deepEqual(await kernels.read(sound), Float32Array.of(2, 4));
        await new Promise(setImmediate);
        assert.deepEqual(unhandled, []);
        process.off('unhandledRejection', listener);
        await assert.rejects(kernels.read(next), {
          name: 'KernelError',
          message: /^kernel scatterSum failed: /,
        });
        await assert.rejects(kernels.read(failing), KernelError);
      }));

    it('refuses tensors of other kernels and work after its disposal', async () => {
      const kernels = await createGpuKernels({ mode });
      const others = await createGpuKernels({ mode });
      const [mine, theirs] = [kernels.zeros([2]), others.zeros([2])];
      assert.throws(() => kernels.add(mine, theirs), /not a tensor of floats of this backend/);
      assert.throws(() => kernels.embedding(kernels.zeros([2, 2]), mine), /not a tensor of indices/);
      await kernels.dispose();
      await kernels.dispose();
      assert.throws(() => kernels.zeros([2]), {
        name: 'KernelError',
        message: 'these kernels were disposed of',
      });
      assert.deepEqual(await others.read(theirs), new Float32Array(2));
      await others.dispose();
    });

    it('computes in worker threads, which end by themselves after its disposal', async () => {
      const script = `
        import { createGpuKernels } from ${JSON.stringify(new URL('../index.js', import.meta.url).href)};
        import { parentPort } from 'node:worker_threads';
        const kernels = await createGpuKernels({ mode: '${mode}' });
        const ones = kernels.tensor(Float32Array.of(1, 2), [1, 2]);
        parentPort.postMessage([...(await kernels.read(kernels.add(ones, ones)))]);
        await kernels.dispose();`;
      const results = await Promise.all([1, 2].map(() => resultOf(script)));
      assert.deepEqual(results, [
        [2, 4],
        [2, 4],
      ]);
    });
  });
}

/** The programs that the compiled files of this backend define. */
function programNames(): string[] {
  const folder = new URL('../', import.meta.url);
  return readdirSync(folder)
    .filter((file) => /^[^.]+\.js$/.test(file))
    .map((file) => readFileSync(new URL(file, folder), 'utf8'))
    .flatMap((text) => [...text.matchAll(/\bprogram\(function (\w+)\(/g)].map(([, name]) => name));
}

/** The message of a module that runs in a thread, once the thread has ended. */
function resultOf(script: string): Promise<unknown> {
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(script)}`));
  return new Promise((resolve, reject) => {
    let message: unknown;
    worker.on('message', (value) => {
      message = value;
    });
    worker.on('error', reject);
    worker.on('exit', () => resolve(message));
  });
}
