import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { DropoutKey, Kernels, Tensor } from '../../kernels.js';
import { Device } from '../device.js';
import type { GpuMode } from '../foreign.js';
import { headLoss } from '../loss.js';
import type { DeviceTensor } from '../tape.js';
import { withKernels } from './with-kernels.js';

const [N, C, V] = [6, 8, 11];
const shape = { batch: 2, time: 3, heads: 2, kvHeads: 1, headDim: 4 };

/** Numbers from −1 to 1 in no pattern. */
export function noise(length: number, seed: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => Math.sin((i + 1) * (seed + 0.7) * 12.9898));
}

/** A small model of its own: what a training micro-batch calls, with sums that live outside of it. */
function smallModel(kernels: Kernels) {
  const tensor = (seed: number, ...extents: number[]) =>
    kernels.tensor(
      noise(
        extents.reduce((a, b) => a * b),
        seed,
      ),
      extents,
    );
  const weights = {
    table: tensor(1, V, C),
    norm: tensor(2, C),
    bias: tensor(3, C),
    qkv: tensor(4, C, 16),
    out: tensor(5, 8, C),
  };
  const sums = { table: kernels.zeros([V, C]), qkv: kernels.zeros([C, 16]) };
  const last = kernels.zeros([2 * N, C]);
  const ids = kernels.indices(Int32Array.of(1, 2, 3, 4, 5, 10));
  const targets = kernels.indices(Int32Array.of(2, 3, -1, 5, 10, 0));
  const key: { -readonly [Field in keyof DropoutKey]: number } = {
    seed: 1,
    step: 2,
    microBatch: 3,
    layer: 4,
  };
  const step = () => {
    const x = kernels.embedding(weights.table, ids);
    const { out: normal, mean, rstd } = kernels.layerNorm(x, weights.norm, weights.bias, 1e-5);
    const qkv = kernels.linear(normal, weights.qkv, null, 'inOut');
    const attention = kernels.attention(qkv, shape);
    const mixed = kernels.linear(attention.out, weights.out, weights.bias, 'inOut');
    const dropped = kernels.dropout(mixed, 0.4, key);
    const sum = kernels.add(x, dropped);
    const loss = kernels.headLoss(sum, weights.table, targets, true);
    assert.ok(loss.x && loss.weight);
    const toMixed = kernels.dropout(loss.x, 0.4, key);
    const toOut = kernels.linearBackward(toMixed, attention.out, weights.out, true, 'inOut');
    const toQkv = kernels.attentionBackward(toOut.x, qkv, attention.out, attention.logSumExp, shape);
    const toNormal = kernels.linearBackward(toQkv, normal, weights.qkv, false, 'inOut');
    const toX = kernels.layerNormBackward(toNormal.x, x, weights.norm, mean, rstd);
    const toSum = kernels.add(toX.x, loss.x);
    kernels.accumulate(sums.table, loss.weight);
    kernels.accumulate(sums.table, kernels.embeddingBackward(toSum, ids, V));
    kernels.accumulate(sums.qkv, toNormal.weight);
    kernels.writeRows(last, N, sum);
    kernels.copy(weights.out, toOut.weight);
    return { losses: loss.losses, rest: [toOut.bias, toX.bias] };
  };
  const results = async ({ losses, rest }: ReturnType<typeof step>) => {
    const tensors = [losses, ...rest, sums.table, sums.qkv, last, weights.out];
    const values = await Promise.all(tensors.map((it) => (it === null ? [] : kernels.read(it))));
    return values.map((it) => [...it]);
  };
  return { weights, ids, targets, key, step, results };
}

/** What holds for programs in every mode. */
export function programsHold(mode: GpuMode): void {
  describe(`programs of gpu.js in mode ${mode}`, () => {
    it('compute the bits that calls compute, run after run, with what is written between them', () =>
      withKernels(mode, (kernels) =>
        withKernels(mode, async (others) => {
          const [recorded, called] = [smallModel(kernels), smallModel(others)];
          const program = kernels.compile(recorded.step);
          assert.ok(program.bytes > 4 * N * C);
          for (let run = 0; run < 3; run++) {
            const expected = await called.results(called.step());
            assert.deepEqual(await recorded.results(program.run()), expected, `run ${run}`);
            for (const { weights, ids, targets, key } of [recorded, called]) {
              const to = weights === recorded.weights ? kernels : others;
              to.write(weights.qkv, noise(C * 16, 20 + run));
              to.writeIndices(ids, Int32Array.of(9, 8, run, 7, 7, 0));
              to.writeIndices(targets, Int32Array.of(-1, 1, run, 4, 4, 0));
              key.step += 1;
            }
          }
        }),
      ));

    it('read a dropout key again in each run, and refuse one that is none', () =>
      withKernels(mode, async (kernels) => {
        const ones = kernels.tensor(new Float32Array(64).fill(1), [8, 8]);
        const key = { seed: 1, step: 1, microBatch: 1, layer: 1 };
        const program = kernels.compile(() => kernels.dropout(ones, 0.5, key));
        const masks: string[] = [];
        for (const field of ['seed', 'step', 'microBatch', 'layer'] as const) {
          key[field] += 1;
          const called = await kernels.read(kernels.dropout(ones, 0.5, { ...key }));
          assert.deepEqual(await kernels.read(program.run()), called);
          masks.push(String(called));
        }
        assert.equal(new Set(masks).size, 4);
        key.step = -1;
        assert.throws(() => program.run(), { name: 'KernelError', message: /-1 in the key/ });
      }));

    it('give a hook the tensors that it names, in the middle of a run, and in order', () =>
      withKernels(mode, async (kernels) => {
        const x = kernels.tensor(Float32Array.of(1, 2), [1, 2]);
        const order: string[] = [];
        const readings: Promise<ArrayLike<number>>[] = [];
        const program = kernels.compile(() => {
          const twice = kernels.add(x, x);
          kernels.hook([twice], () => {
            order.push('twice');
            readings.push(kernels.read(twice));
          });
          const early = kernels.add(twice, twice);
          let sum = twice;
          for (let i = 0; i < 5; i++) sum = kernels.add(sum, x);
          kernels.hook([sum, early], () => {
            order.push('sum');
            readings.push(kernels.read(sum), kernels.read(early));
          });
          return kernels.add(sum, sum);
        });
        const result = await kernels.read(program.run());
        assert.deepEqual(order, ['twice', 'sum']);
        assert.deepEqual(
          (await Promise.all(readings)).map((it) => [...Array.from(it)]),
          [
            [2, 4],
            [7, 14],
            [4, 8],
          ],
        );
        assert.deepEqual([...result], [14, 28]);
        let called = false;
        kernels.hook([], () => {
          called = true;
        });
        assert.ok(called, 'outside of a program at once');
      }));

    it('start from the same constants in each run, also where they are added to', () =>
      withKernels(mode, async (kernels) => {
        const x = kernels.tensor(Float32Array.of(1, 2), [2]);
        const program = kernels.compile(() => {
          const sum = kernels.tensor(Float32Array.of(10, 20), [2]);
          kernels.accumulate(sum, x);
          kernels.accumulate(sum, kernels.zeros([2]));
          return { sum, zeros: kernels.zeros([1]) };
        });
        for (let run = 0; run < 2; run++) {
          const { sum, zeros } = program.run();
          assert.deepEqual(await kernels.read(sum), Float32Array.of(11, 22));
          assert.deepEqual(await kernels.read(zeros), Float32Array.of(0));
        }
      }));

    it('take the head and the loss in blocks of rows as well as in one', async () => {
      const device = await Device.open(mode);
      const x = device.upload(noise(7 * 4, 1), [7, 4]);
      const weight = device.upload(noise(9 * 4, 2), [9, 4]);
      const targets = device.uploadIndices(Int32Array.of(0, 8, -1, 3, 4, 5, 1));
      const valuesOf = async ({ losses, x, weight }: ReturnType<typeof headLoss>) => {
        const read = (tensor: DeviceTensor | null) => (tensor === null ? null : device.read(tensor));
        return Promise.all([losses, x, weight].map(read));
      };
      const whole = await valuesOf(headLoss(device, x, weight, targets, true));
      for (const rows of [1, 2, 3, 6, 7]) {
        const build = () => headLoss(device, x, weight, targets, true, rows * 9 + 2);
        const called = await valuesOf(build());
        for (const [i, values] of whole.entries()) {
          for (const [j, value] of values?.entries() ?? []) {
            assert.ok(
              Math.abs((called[i]?.[j] ?? Number.NaN) - value) < 1e-6,
              `${rows} rows, result ${i}, ${j}`,
            );
          }
        }
        const recorded = device.record(build, ({ losses, x, weight }) =>
          [losses, x, weight].flatMap((it) => it ?? []),
        );
        assert.deepEqual(await valuesOf(recorded.run()), called);
        const forward = await valuesOf(headLoss(device, x, weight, targets, false, rows * 9));
        assert.deepEqual(forward, [called[0], null, null]);
      }
      await device.close();
    });

    it('run in turns over shared memory', () =>
      withKernels(mode, async (kernels) => {
        const x = kernels.tensor(Float32Array.of(1, 2, 3), [3]);
        const times = (count: number) => () => {
          let sum: Tensor = x;
          for (let i = 1; i < count; i++) sum = kernels.add(sum, x);
          return sum;
        };
        const programs = [5, 3, 8].map((count) => ({ count, program: kernels.compile(times(count)) }));
        for (const { count, program } of [...programs, ...programs.reverse()]) {
          assert.deepEqual([...(await kernels.read(program.run()))], [count, 2 * count, 3 * count]);
        }
      }));

    it('refuse what cannot be recorded and what is gone', () =>
      withKernels(mode, async (kernels) => {
        const mark = kernels.mark();
        const x = kernels.zeros([2]);
        const ids = kernels.indices(Int32Array.of(0, 1));
        const table = kernels.zeros([2, 2]);
        const wrong: [RegExp, () => unknown][] = [
          [/do not nest/, () => kernels.compile(() => x)],
          [/cannot write/, () => kernels.write(x, new Float32Array(2))],
        ];
        for (const [message, call] of wrong) assert.throws(() => kernels.compile(call), { message });
        await assert.rejects(
          kernels.compile(() => ({ reading: kernels.read(x) })).run().reading,
          /cannot read/,
        );
        let inner = x;
        const program = kernels.compile(() => {
          inner = kernels.add(x, x);
          return [kernels.add(inner, x), kernels.embedding(table, ids)];
        });
        assert.deepEqual(await kernels.read(program.run()[0]), new Float32Array(2));
        await assert.rejects(kernels.read(inner), { name: 'KernelError', message: /after its release/ });
        assert.throws(() => kernels.writeIndices(ids, Int32Array.of(0, 2)), {
          name: 'KernelError',
          message: /the index 2 is not from 0 to 1/,
        });
        kernels.release(mark);
        assert.throws(() => program.run(), { message: 'a tensor that the program uses was released' });
      }));

    it('hand on the error of a step to what they fill, and work again once it is overwritten', () =>
      withKernels(mode, async (kernels) => {
        const x = kernels.zeros([2, 1]);
        const huge = () => kernels.embeddingBackward(x, kernels.indices(Int32Array.of(0, 1)), 2 ** 33);
        const program = kernels.compile(() => kernels.add(x, x));
        const readings: Promise<unknown>[] = [];
        const failing = kernels.compile(() => {
          const sum = kernels.add(x, x);
          kernels.hook([sum], () => readings.push(kernels.read(sum)));
          return { huge: huge(), sound: kernels.add(sum, x) };
        });
        readings.push(kernels.read(failing.run().sound));
        for (const { status, reason } of rejections(await Promise.allSettled(readings))) {
          assert.equal(status, 'rejected');
          assert.match(
            String(reason),
            /^KernelError: (kernel of a program failed|a program cannot be made ready): /,
          );
        }
        assert.deepEqual(await kernels.read(program.run()), new Float32Array(2));
      }));
  });
}

function rejections(settled: readonly PromiseSettledResult<unknown>[]) {
  return settled.map((it) => ({ status: it.status, reason: it.status === 'rejected' ? it.reason : null }));
}
