import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { createCpuKernels, createReferenceKernels } from '../kernels/index.js';
import { createModel, initialWeights, resolveModelConfig } from '../model/index.js';
import { TreeSum } from '../reduce/index.js';
import { Learner, type MicroBatch, microBatchFromTokens } from './index.js';

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

const config = resolveModelConfig({
  arch: 'gpt2',
  layers: 1,
  heads: 2,
  kvHeads: 2,
  channels: 4,
  context: 8,
  vocab: 9,
  dropout: 0,
  tieEmbeddings: true,
});
const model = createModel(config);
const weights = initialWeights(model, 3).map((value) => value * 10);
const key = { seed: 1, step: 2 };
const micro: MicroBatch = {
  index: 0,
  batch: 2,
  time: 4,
  inputs: Int32Array.of(1, 2, 3, 4, 5, 6, 7, 8),
  targets: Int32Array.of(2, -1, 4, 5, 6, 7, -1, 0),
};

function learnerWith(flat = weights, of = model): Learner {
  const learner = Learner.create(createReferenceKernels(), of);
  learner.setWeights(flat);
  return learner;
}

async function gradientOf(learner: Learner, batch: MicroBatch): Promise<Float32Array> {
  const into = new Float32Array(model.size).fill(Number.NaN);
  await learner.gradients(batch, key, into);
  return into;
}

describe('a micro-batch from tokens', () => {
  it('pairs each token with the one that follows it', () => {
    const made = microBatchFromTokens(5, Int32Array.of(1, 2, 3, 4, 5, 6), 2, 2);
    assert.deepEqual(made, {
      index: 5,
      batch: 2,
      time: 2,
      inputs: Int32Array.of(1, 2, 4, 5),
      targets: Int32Array.of(2, 3, 5, 6),
    });
  });

  it('ignores what there is not: every target is a token that follows a token', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 6 }),
        fc.infiniteStream(fc.integer({ min: -1, max: 3 })),
        (batch, time, stream) => {
          const tokens = Int32Array.from({ length: batch * (time + 1) }, () => stream.next().value);
          const { inputs, targets } = microBatchFromTokens(0, tokens, batch, time);
          for (let b = 0; b < batch; b++) {
            for (let t = 0; t < time; t++) {
              const [token, next] = tokens.subarray(b * (time + 1) + t);
              assert.equal(inputs[b * time + t], token === -1 ? 0 : token);
              assert.equal(targets[b * time + t], token === -1 ? -1 : next);
            }
          }
        },
      ),
    );
    assert.throws(() => microBatchFromTokens(0, new Int32Array(5), 2, 2), RangeError);
  });
});

describe('Learner', () => {
  it('gives the sum of the losses, and as many targets as are not ignored', async () => {
    const learner = learnerWith();
    const losses = await learner.losses(micro);
    const { lossSum, targets } = await learner.gradients(micro, key, new Float32Array(model.size));
    assert.equal(targets, 6);
    assert.equal(losses.length, 8);
    assert.equal(losses[1], 0);
    assert.equal(losses[6], 0);
    assert.ok(losses.every((loss, i) => micro.targets[i] < 0 || loss > 0));
    assert.ok(Math.abs(lossSum - losses.reduce((sum, loss) => sum + loss, 0)) < 1e-12);
  });

  it('overwrites the whole array, with zeros where a weight has no part', async () => {
    const into = await gradientOf(learnerWith(), micro);
    assert.ok(into.every(Number.isFinite));
    const positions = model.parameters.find(({ name }) => name === 'wpe.weight');
    assert.ok(positions);
    const rows = into.subarray(positions.offset, positions.offset + positions.size);
    assert.ok(rows.subarray(0, 4 * 4).some((value) => value !== 0));
    assert.ok(
      rows.subarray(4 * 4).every((value) => value === 0),
      'positions beyond the sequence',
    );
  });

  it('is not marked by what it did before: weights can be overwritten again and again', async () => {
    const learner = learnerWith();
    const first = await gradientOf(learner, micro);
    learner.setWeights(weights.map((value) => -value));
    assert.notDeepEqual(await gradientOf(learner, micro), first);
    learner.setWeights(weights);
    assert.deepEqual(await gradientOf(learner, micro), first);
    assert.deepEqual(await gradientOf(learnerWith(), micro), first);
  });

  it('drops by the number of the micro-batch, not by who computes it', async () => {
    const dropping = createModel({ ...config, dropout: 0.4 });
    const at = (index: number) => gradientOf(learnerWith(weights, dropping), { ...micro, index });
    const first = await at(0);
    assert.deepEqual(await at(0), first);
    assert.notDeepEqual(await at(1), first);
  });

  it('refuses tokens beyond the vocabulary, arrays of another size, and a second micro-batch at once', async () => {
    const learner = learnerWith();
    const wrong = { ...micro, targets: micro.targets.with(0, 9) };
    await assert.rejects(gradientOf(learner, wrong), /target 9 .* vocabulary of 9/);
    await assert.rejects(gradientOf(learner, { ...micro, inputs: micro.inputs.with(0, 9) }), /token 9/);
    await assert.rejects(
      gradientOf(learner, { ...micro, targets: new Int32Array(3) }),
      /8 inputs have 3 targets/,
    );
    await assert.rejects(learner.gradients(micro, key, new Float32Array(3)), RangeError);
    assert.throws(() => learner.setWeights(new Float32Array(3)), RangeError);
    const running = gradientOf(learner, micro);
    await assert.rejects(learner.losses(micro), /one micro-batch at a time/);
    assert.deepEqual(
      await running,
      await gradientOf(learnerWith(), micro),
      'and goes on as if nothing had happened',
    );
  });

  it('ends before the next micro-batch where the sum is of no use any more, and the next sum is right', async () => {
    const learner = learnerWith();
    const batches = [0, 1, 2, 3].map((index) => ({ ...micro, index }));
    const expected = new Float32Array(model.size);
    await learner.sum(batches, key, expected);
    let asked = 0;
    const into = new Float32Array(model.size);
    await assert.rejects(
      learner.sum(batches, key, into, undefined, () => ++asked === 3),
      /cancelled/,
    );
    assert.equal(asked, 3);
    await learner.sum(batches, key, into);
    assert.deepEqual(into, expected);
  });
});

describe('the sum over micro-batches', () => {
  const dropping = createModel({ ...config, layers: 2, dropout: 0.3 });
  const flat = initialWeights(dropping, 5);
  const micros = Array.from({ length: 9 }, (_, index) => ({
    ...micro,
    index,
    inputs: micro.inputs.map((id) => (id + 2 * index) % 9),
  }));

  async function cpuLearner(options?: { recompute: boolean }): Promise<Learner> {
    const learner = Learner.create(await createCpuKernels({ reproducible: true }), dropping, options);
    learner.setWeights(flat);
    return learner;
  }

  async function expected(count: number): Promise<Float32Array> {
    const learner = await cpuLearner();
    const tree = new TreeSum(count, dropping.size);
    const gradient = new Float32Array(dropping.size);
    for (const [first, one] of micros.slice(0, count).entries()) {
      await learner.gradients(one, key, gradient);
      tree.add({ first, count: 1 }, gradient);
    }
    return tree.result();
  }

  it("has the bits of the batch's tree, however many there are", async () => {
    const learner = await cpuLearner();
    for (let count = 1; count <= micros.length; count++) {
      const into = new Float32Array(dropping.size).fill(Number.NaN);
      const { sums, targets } = await learner.sum(micros.slice(0, count), key, into);
      assert.equal(sums.length, count);
      assert.deepEqual(targets, new Array(count).fill(6));
      assert.deepEqual(into, await expected(count), `${count} micro-batches`);
    }
  });

  it('is final from its end to its start while the rest is computed', async () => {
    const learner = await cpuLearner();
    const into = new Float32Array(dropping.size).fill(Number.NaN);
    const seen: { from: number; values: Float32Array }[] = [];
    await learner.sum(micros.slice(0, 3), key, into, (from) => seen.push({ from, values: into.slice(from) }));
    assert.ok(seen.length > dropping.config.layers);
    assert.equal(seen.at(-1)?.from, 0);
    for (const [i, { from, values }] of seen.entries()) {
      assert.ok(i === 0 || from < seen[i - 1].from);
      assert.deepEqual(values, into.slice(from), `from ${from}`);
    }
  });

  it('is the same where activations are computed again instead of being kept', async () => {
    const again = await cpuLearner({ recompute: true });
    const into = new Float32Array(dropping.size);
    await again.sum(micros.slice(0, 3), key, into);
    assert.deepEqual(into, await expected(3));
    const shape = { batch: 2, time: 4, train: true };
    assert.ok(again.workspaceBytes(shape) < (await cpuLearner()).workspaceBytes(shape));
  });

  it('leaves nothing behind: the heap is flat over 200 steps', async () => {
    const learner = await cpuLearner();
    const into = new Float32Array(dropping.size);
    const used = async (steps: number) => {
      for (let step = 0; step < steps; step++) await learner.sum(micros.slice(0, 2), { seed: 1, step }, into);
      collectGarbage();
      const { heapUsed, external, arrayBuffers } = process.memoryUsage();
      return heapUsed + external + arrayBuffers;
    };
    // The engine's own notes on hot code come and go; what a step left behind would show in every window.
    const growth: number[] = [];
    for (let before = await used(200); growth.length < 4; ) {
      const after = await used(200);
      growth.push(after - before);
      before = after;
    }
    assert.ok(Math.min(...growth) < 20_000, `${growth} bytes more in 200 steps each`);
  });
});
