import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { dropoutMask, randomStream } from '../numeric/index.js';
import { type Case, cases } from './conformance-cases.js';
import { KernelError, type Kernels, type Shape, type Tensor } from './kernels.js';
import { createReferenceKernels } from './reference/reference-kernels.js';
import { sizeOf } from './shapes.js';

/** Entries of each input whose derivative is taken by finite differences. */
const SAMPLES = 40;
const STEP = 1e-5;

/**
 * Registers the tests that hold a backend to the reference: every operation forward, and backward against finite
 * differences of the reference's forward; then what tensors, marks and errors must do.
 *
 * @param tolerance of a value, relative to the largest expected one of its tensor (or to 1 where all are smaller)
 */
export function conformance(name: string, create: () => Promise<Kernels>, tolerance: number): void {
  describe(`${name} conforms`, () => {
    let kernels: Kernels;
    const reference = createReferenceKernels();
    before(async () => {
      kernels = await create();
    });
    after(async () => {
      await kernels.dispose();
    });

    for (const operation of cases) {
      test(operation.name, async () => {
        const precision = tolerance * (operation.slack ?? 1);
        const mark = kernels.mark();
        const inputs = randomInputs(operation);
        const tensors = upload(kernels, operation, inputs);
        const results = operation.forward(kernels, tensors);
        const expected = await valuesOf(reference, operation, inputs);
        for (const [i, result] of results.entries()) {
          assert.deepEqual(result.shape, expected[i].shape);
          close(await kernels.read(result), expected[i].values, precision, `output ${i}`);
        }
        if (operation.backward) {
          const seeds = operation.outputs(expected).map(({ shape }, i) => random(i + 100, shape));
          const gradients = operation.backward(
            kernels,
            seeds.map(({ values, shape }) => kernels.tensor(values, shape)),
            tensors,
            results,
          );
          for (const [i, gradient] of gradients.entries()) {
            assert.deepEqual(gradient.shape, operation.inputs[i].shape);
            const slopes = await finiteDifferences(reference, operation, inputs, seeds, i);
            const values = await kernels.read(gradient);
            const largest = Math.max(1, ...slopes.map(({ slope }) => Math.abs(slope)));
            for (const { at, slope } of slopes) {
              const error = Math.abs(values[at] - slope);
              assert.ok(
                error <= precision * largest,
                `gradient of input ${i}, entry ${at}: ${values[at]} instead of ${slope}`,
              );
            }
          }
        }
        kernels.release(mark);
      });
    }

    test('dropout zeroes and scales exactly the entries that the mask names, in its gradient too', async () => {
      for (const [size, probability] of [
        [1, 0.5],
        [7, 0.1],
        [30, 0],
        [64, 0.9],
      ] as const) {
        const key = { seed: 0xfffffff1, step: 3, microBatch: size, layer: 2 };
        const x = random(1, [1, size]).values;
        const mask = dropoutMask(size, probability, key);
        const out = kernels.dropout(kernels.tensor(x, [1, size]), probability, key);
        const expected = Float32Array.from(x, (value, i) => value * mask[i]);
        assert.deepEqual(plain(Float32Array.from(await kernels.read(out))), plain(expected));
      }
    });

    test('the same arguments give the same bits, whatever was computed before', async () => {
      const mark = kernels.mark();
      const bits = async (operation: Case) => {
        const results = operation.forward(kernels, upload(kernels, operation, randomInputs(operation)));
        return Promise.all(results.map(async (result) => [...(await kernels.read(result))]));
      };
      for (const operation of cases.filter(({ name }) => /attention|linear|cross/.test(name)).slice(0, 12)) {
        const first = await bits(operation);
        kernels.zeros([3]);
        assert.deepEqual(await bits(operation), first, operation.name);
      }
      kernels.release(mark);
    });

    test('read gives back what tensor, indices and zeros made', async () => {
      const values = Float32Array.of(1.5, -0, 3e38, 1e-30, -7, 0.1);
      assert.deepEqual([...(await kernels.read(kernels.tensor(values, [2, 3])))], [...values]);
      assert.deepEqual([...(await kernels.read(kernels.tensor(Float64Array.of(0.25, 2), [2])))], [0.25, 2]);
      assert.deepEqual(
        [...(await kernels.read(kernels.indices(Int32Array.of(-1, 0, 70000))))],
        [-1, 0, 70000],
      );
      assert.deepEqual([...(await kernels.read(kernels.zeros([1, 5])))], [0, 0, 0, 0, 0]);
    });

    test('a tensor holds a copy of the data it was made from, and read a copy of the tensor', async () => {
      const data = Float32Array.of(1, 2, 3);
      const tensor = kernels.tensor(data, [3]);
      data[0] = 9;
      (await kernels.read(tensor))[1] = 9;
      assert.deepEqual([...(await kernels.read(tensor))], [1, 2, 3]);
    });

    test('readInto fills the memory it is given, which must fit', async () => {
      const tensor = kernels.tensor(Float32Array.of(1, 2, 3), [3]);
      const target = new Float32Array(5);
      await kernels.readInto(tensor, target.subarray(1, 4));
      assert.deepEqual([...target], [0, 1, 2, 3, 0]);
      await assert.rejects(async () => {
        await kernels.readInto(tensor, target);
      });
    });

    test('write changes a tensor in place and nothing computed from it before', async () => {
      const x = kernels.tensor(Float32Array.of(1, 2, 3, 4), [2, 2]);
      const before = kernels.add(x, x);
      kernels.write(x, Float32Array.of(5, 6, 7, 8));
      const after = kernels.add(x, x);
      assert.deepEqual([...(await kernels.read(before))], [2, 4, 6, 8]);
      assert.deepEqual([...(await kernels.read(x))], [5, 6, 7, 8]);
      assert.deepEqual([...(await kernels.read(after))], [10, 12, 14, 16]);
    });

    test('release frees what was made after the mark and keeps what was made before', async () => {
      const kept = kernels.tensor(Float32Array.of(1, 2), [2]);
      const mark = kernels.mark();
      const freed = kernels.add(kept, kept);
      kernels.release(mark);
      const later = kernels.add(kept, kept);
      assert.deepEqual([...(await kernels.read(kept))], [1, 2]);
      assert.deepEqual([...(await kernels.read(later))], [2, 4]);
      await assert.rejects(async () => kernels.read(freed), KernelError);
      await fails(kernels, () => kernels.add(freed, kept));
      kernels.release(mark);
      await assert.rejects(async () => kernels.read(later), KernelError);
    });

    test('a key-value cache grows by writeRows and answers as the whole sequence does', async () => {
      const mark = kernels.mark();
      const shape = { batch: 1, heads: 2, kvHeads: 1, headDim: 4 };
      const qkv = random(3, [5, 16]);
      const whole = kernels.attention(kernels.tensor(qkv.values, qkv.shape), { ...shape, time: 5 });
      const cache = kernels.zeros([8, 16]);
      const rows = kernels.tensor(qkv.values, qkv.shape);
      const outs: number[] = [];
      for (const [first, count] of [
        [0, 2],
        [2, 1],
        [3, 2],
      ]) {
        kernels.writeRows(cache, first, kernels.rows(rows, first, count));
        const part = first === 0 ? kernels.rows(cache, 0, count) : cache;
        const { out } = kernels.attention(part, { ...shape, time: first + count, first });
        outs.push(...(await kernels.read(out)));
      }
      close(outs, await kernels.read(whole.out), tolerance, 'attention over the cache');
      kernels.release(mark);
    });

    test('arguments that do not fit are refused', async () => {
      const x = kernels.zeros([2, 3]);
      const wide = kernels.zeros([2, 5]);
      const ids = kernels.indices(Int32Array.of(0, 2));
      const negative = kernels.indices(Int32Array.of(-1, -2));
      const attention = { batch: 1, time: 2, heads: 1, kvHeads: 1, headDim: 1 };
      await fails(kernels, () => kernels.tensor(new Float32Array(5), [2, 3]));
      await fails(kernels, () => kernels.write(x, new Float32Array(5)));
      await fails(kernels, () => kernels.add(x, wide));
      await fails(kernels, () => kernels.linear(x, wide, null, 'inOut'));
      await fails(kernels, () => kernels.linear(x, kernels.zeros([3, 4]), kernels.zeros([3]), 'inOut'));
      await fails(kernels, () => kernels.embedding(kernels.zeros([2, 3]), ids));
      await fails(kernels, () => kernels.embedding(x, negative));
      await fails(kernels, () => kernels.embeddingBackward(x, ids, 2));
      await fails(kernels, () => kernels.crossEntropy(kernels.zeros([2, 2]), ids));
      await fails(kernels, () => kernels.crossEntropy(x, negative).losses);
      await fails(kernels, () => kernels.attention(x, { ...attention, time: 3 }).out);
      await fails(kernels, () => kernels.attention(x, { ...attention, heads: 2, kvHeads: 3 }).out);
      await fails(kernels, () => kernels.attention(x, { ...attention, first: 2 }).out);
      await fails(kernels, () => kernels.layerNorm(x, kernels.zeros([2]), kernels.zeros([3]), 1e-5).out);
      await fails(kernels, () => kernels.split(x, [1, 1])[0]);
      await fails(kernels, () => kernels.concat([x, kernels.zeros([3, 3])]));
      await fails(kernels, () => kernels.rows(x, 1, 2));
      await fails(kernels, () => kernels.writeRows(x, 1, x));
      await fails(kernels, () => kernels.dropout(x, 1, { seed: 0, step: 0, microBatch: 0, layer: 0 }));
    });
  });
}

interface Values {
  readonly values: Float64Array;
  readonly shape: Shape;
}

/** Numbers that float32 holds, so that every backend starts from the same. */
function random(purpose: number, shape: Shape, scale = 1, offset = 0): Values {
  const stream = randomStream(20, purpose);
  const values = Float64Array.from({ length: sizeOf(shape) }, () =>
    Math.fround(scale * stream.nextNormal() + offset),
  );
  return { values, shape };
}

function randomInputs(operation: Case): Float64Array[] {
  return operation.inputs.map(({ shape, scale, offset }, i) => random(i, shape, scale, offset).values);
}

function upload(kernels: Kernels, operation: Case, inputs: readonly Float64Array[]): Tensor[] {
  return inputs.map((values, i) => kernels.tensor(values, operation.inputs[i].shape));
}

async function valuesOf(
  reference: Kernels,
  operation: Case,
  inputs: readonly Float64Array[],
): Promise<Values[]> {
  const mark = reference.mark();
  const results = operation.forward(reference, upload(reference, operation, inputs));
  const values = await Promise.all(
    results.map(async (result) => ({
      values: Float64Array.from(await reference.read(result)),
      shape: result.shape,
    })),
  );
  reference.release(mark);
  return values;
}

/** Slopes of Σ seed·output by input number `i`, at entries spread over it. */
async function finiteDifferences(
  reference: Kernels,
  operation: Case,
  inputs: readonly Float64Array[],
  seeds: readonly Values[],
  i: number,
): Promise<{ at: number; slope: number }[]> {
  const loss = async () => {
    const outputs = operation.outputs(await valuesOf(reference, operation, inputs));
    return outputs.reduce(
      (sum, { values }, o) => values.reduce((s, value, j) => s + value * seeds[o].values[j], sum),
      0,
    );
  };
  const values = inputs[i];
  const stride = Math.max(1, Math.floor(values.length / SAMPLES));
  const slopes: { at: number; slope: number }[] = [];
  for (let at = 0; at < values.length; at += stride) {
    const kept = values[at];
    values[at] = kept + STEP;
    const above = await loss();
    values[at] = kept - STEP;
    const below = await loss();
    values[at] = kept;
    slopes.push({ at, slope: (above - below) / (2 * STEP) });
  }
  return slopes;
}

function close(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  what: string,
): void {
  assert.equal(actual.length, expected.length, `${what}: number of values`);
  const largest = Math.max(1, ...Array.from(expected, Math.abs));
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(actual[i] - expected[i]);
    assert.ok(error <= tolerance * largest, `${what}, entry ${i}: ${actual[i]} instead of ${expected[i]}`);
  }
}

/** Zeros of both signs are equal here: a backend may multiply by 0 or select it. */
function plain(values: ArrayLike<number>): number[] {
  return Array.from(values, (value) => value + 0);
}

/** A call with wrong arguments throws at once, or rejects when what came out of it is read. */
async function fails(kernels: Kernels, call: () => unknown): Promise<void> {
  await assert.rejects(
    async () => {
      const result = call();
      if (isTensor(result)) await kernels.read(result);
    },
    (error) => error instanceof KernelError || error instanceof RangeError,
  );
}

function isTensor(value: unknown): value is Tensor {
  return typeof value === 'object' && value !== null && 'shape' in value;
}
