import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Graph } from '../graph/index.js';
import {
  createCpuKernels,
  createCpuPlanner,
  createReferenceKernels,
  type Kernels,
  type Tensor,
} from '../kernels/index.js';
import { activationBytes, memoryEstimate } from './cost.js';
import { createCache, forward } from './forward.js';
import { createModel, initialWeights } from './model.js';
import { parameterNodes, uploadWeights } from './parameters.js';
import { trainingProgram } from './programs.js';
import { tinyGpt2, tinyLlama, tinyModels } from './tiny.js';
import type { ForwardInput, Model } from './types.js';

const ids = Int32Array.of(3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 10, 8);
const targets = Int32Array.of(1, 4, -1, 5, 9, -1, 6, 5, 3, 10, 8, -1);
const full: ForwardInput = { ids, batch: 2, time: 6 };

/** Weights far from the first ones, where every part of the model matters. */
function busyWeights(model: Model): Float64Array {
  return Float64Array.from(
    initialWeights(model, 7),
    (value, i) => (value === 1 ? 1 : 20 * value) + 0.2 * Math.sin(i),
  );
}

async function logitsOf(kernels: Kernels, model: Model, weights: Float64Array, input: ForwardInput) {
  const graph = new Graph(kernels, { record: false });
  const parameter = parameterNodes(graph, uploadWeights(kernels, model, weights));
  return kernels.read(forward(graph, model, parameter, input).output);
}

async function run(kernels: Kernels, model: Model, weights: Float64Array, input = full) {
  const graph = new Graph(kernels);
  const parameter = parameterNodes(graph, uploadWeights(kernels, model, weights));
  const loss = graph.crossEntropy(
    forward(graph, model, parameter, input),
    graph.input('targets', kernels.indices(targets)),
  );
  return { graph, parameter, loss };
}

function total(values: Iterable<number>): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum;
}

async function lossSum(kernels: Kernels, model: Model, weights: Float64Array): Promise<number> {
  const { loss } = await run(kernels, model, weights);
  return total(await kernels.read(loss.output));
}

function assertNear(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  assert.equal(actual.length, expected.length);
  for (let i = 0; i < expected.length; i++) {
    assert.ok(Math.abs(actual[i] - expected[i]) <= tolerance, `[${i}]: ${actual[i]}, ${expected[i]}`);
  }
}

for (const [name, config] of Object.entries(tinyModels)) {
  describe(name, () => {
    const kernels = createReferenceKernels();
    const model = createModel(config);
    const weights = busyWeights(model);

    it('has the gradients of finite differences, with ignored targets', async () => {
      const { graph, parameter, loss } = await run(kernels, model, weights);
      graph.backward(loss);
      for (const { name: of, offset, size } of model.parameters) {
        const { gradient } = parameter(of);
        assert.ok(gradient, of);
        const values = await kernels.read(gradient);
        for (const at of new Set([0, Math.floor(size / 3), Math.floor(size / 2), size - 1])) {
          const before = weights[offset + at];
          const lossAt = (change: number) => {
            weights[offset + at] = before + change;
            return lossSum(kernels, model, weights);
          };
          const h = 1e-3; // five points: the error is of the order of h⁴
          const near = (await lossAt(h)) - (await lossAt(-h));
          const far = (await lossAt(2 * h)) - (await lossAt(-2 * h));
          weights[offset + at] = before;
          const expected = (8 * near - far) / (12 * h);
          assert.ok(
            Math.abs(values[at] - expected) < 1e-7 * (1 + Math.abs(expected)),
            `${of}[${at}]: ${values[at]}, ${expected}`,
          );
        }
      }
    });

    it('has no gradient where its table says so', async () => {
      const { graph, parameter, loss } = await run(kernels, model, weights);
      graph.backward(loss);
      for (const { name: of, size, inert } of model.parameters) {
        const { gradient } = parameter(of);
        assert.ok(gradient, of);
        const values = Float64Array.from(await kernels.read(gradient));
        const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        for (let at = 0; at < size; at++) {
          const zero = inert !== undefined && at >= inert.first && at < inert.first + inert.count;
          if (zero) assert.ok(Math.abs(values[at]) < 1e-14 * largest, `${of}[${at}]: ${values[at]}`);
          else if (of.endsWith('c_attn.bias'))
            assert.ok(Math.abs(values[at]) > 1e-6 * largest, `${of}[${at}]`);
        }
      }
    });

    it('sees no future: a later token leaves earlier logits as they are', async () => {
      const changed = ids.slice();
      changed[4] = 0;
      const before = await logitsOf(kernels, model, weights, full);
      const after = await logitsOf(kernels, model, weights, { ...full, ids: changed });
      const { vocab } = config;
      assert.deepEqual(after.slice(0, 4 * vocab), before.slice(0, 4 * vocab));
      assert.notDeepEqual(after.slice(4 * vocab, 5 * vocab), before.slice(4 * vocab, 5 * vocab));
      assert.deepEqual(after.slice(6 * vocab), before.slice(6 * vocab), 'nor another sequence');
    });

    it('computes over a cache, in pieces of any size, what it computes at once', async () => {
      const sequence = ids.subarray(0, 6);
      const expected = await logitsOf(kernels, model, weights, { ids: sequence, batch: 1, time: 6 });
      for (const pieces of [[6], [1, 1, 1, 1, 1, 1], [3, 1, 2], [1, 5]]) {
        const cache = createCache(kernels, model);
        const logits: number[] = [];
        for (const time of pieces) {
          const part = sequence.subarray(cache.length, cache.length + time);
          logits.push(...(await logitsOf(kernels, model, weights, { ids: part, batch: 1, time, cache })));
        }
        assertNear(logits, expected, 1e-12);
      }
      const last = await logitsOf(kernels, model, weights, {
        ids: sequence,
        batch: 1,
        time: 6,
        lastOnly: true,
      });
      assertNear(last, expected.slice(-config.vocab), 1e-12);
    });
  });
}

describe('tied embeddings', () => {
  for (const config of [tinyGpt2, tinyLlama]) {
    it(`of ${config.arch}: one table with the gradients of both of its uses`, async () => {
      const kernels = createReferenceKernels();
      const tied = createModel(config);
      const untied = createModel({ ...config, tieEmbeddings: false });
      const table = tied.parameters[0];
      const weights = busyWeights(tied);
      // lm_head is the last parameter of the untied model: give it the table's values.
      const both = Float64Array.of(...weights, ...weights.subarray(table.offset, table.offset + table.size));
      assert.deepEqual(
        await logitsOf(kernels, untied, both, full),
        await logitsOf(kernels, tied, weights, full),
      );
      const gradients = async (model: Model, values: Float64Array, name: string) => {
        const { graph, parameter, loss } = await run(kernels, model, values);
        graph.backward(loss);
        const { gradient } = parameter(name);
        assert.ok(gradient);
        return kernels.read(gradient);
      };
      const sum = await gradients(tied, weights, table.name);
      const [lookup, head] = await Promise.all(
        [table.name, 'lm_head.weight'].map((name) => gradients(untied, both, name)),
      );
      assertNear(
        sum,
        lookup.map((value, i) => value + head[i]),
        1e-12,
      );
    });
  }
});

describe('dropout', () => {
  const kernels = createReferenceKernels();
  for (const config of [tinyGpt2, tinyLlama]) {
    it(`of ${config.arch} depends on seed, step and micro-batch, and on nothing else`, async () => {
      const model = createModel({ ...config, dropout: 0.3 });
      const weights = busyWeights(model);
      const at = (seed: number, step: number, microBatch: number) =>
        logitsOf(createReferenceKernels(), model, weights, { ...full, dropout: { seed, step, microBatch } });
      const first = await at(1, 2, 3);
      assert.deepEqual(await at(1, 2, 3), first);
      for (const other of [await at(0, 2, 3), await at(1, 0, 3), await at(1, 2, 0)]) {
        assert.notDeepEqual(other, first);
      }
      const without = createModel(config);
      const plain = await logitsOf(kernels, without, weights, full);
      assert.deepEqual(await logitsOf(kernels, model, weights, full), plain, 'evaluation drops nothing');
    });

    it(`of ${config.arch} stands after the embedding and before each addition to the residual stream`, async () => {
      const model = createModel({ ...config, dropout: 0.3 });
      const source = { seed: 1, step: 2, microBatch: 3 };
      const { graph } = await run(kernels, model, busyWeights(model), { ...full, dropout: source });
      const drops = graph.nodes.filter(({ operation }) => operation === 'dropout');
      assert.deepEqual(
        drops.map(({ attributes }) => attributes),
        [0, 1, 2, 3, 4].map((layer) => ({ probability: 0.3, key: { ...source, layer } })),
      );
      assert.equal(drops[0].inputs[0].operation, config.arch === 'gpt2' ? 'add' : 'embedding');
      for (const drop of drops.slice(1)) assert.equal(drop.inputs[0].operation, 'linear');
    });
  }
});

describe('what a micro-batch needs', () => {
  const dropout = { seed: 0, step: 0, microBatch: 0 };
  for (const [name, config] of Object.entries(tinyModels)) {
    it(`is planned as it is computed, and less than all that is made: ${name}`, async () => {
      const model = createModel({
        ...config,
        layers: 6,
        channels: 64,
        hidden: 256,
        context: 256,
        dropout: 0.1,
      });
      const shape = { batch: 4, time: 256 };
      const kernels = await createCpuKernels({ reproducible: true });
      const weights = uploadWeights(kernels, model, new Float32Array(model.size));
      const options = { dropout, recompute: false };
      const { program } = trainingProgram(kernels, model, weights, shape, options, () => {});
      assert.equal(activationBytes(model, 4, 256), program.bytes);
      const graph = new Graph(createCpuPlanner());
      const tensors = uploadWeights(graph.kernels, model, new Float32Array(model.size));
      const input = { ids: new Int32Array(1024), ...shape, dropout };
      const logits = forward(graph, model, parameterNodes(graph, tensors), input);
      graph.backward(graph.crossEntropy(logits, graph.input('targets', graph.kernels.indices(input.ids))));
      const made = new Set<Tensor>();
      for (const { output, gradient, operation } of graph.nodes) {
        if (operation !== 'parameter') made.add(output);
        if (gradient !== null) made.add(gradient);
      }
      const bytes = total(Array.from(made, ({ shape }) => 4 * shape.reduce((a, b) => a * b, 1)));
      assert.ok(program.bytes < 0.8 * bytes, `${program.bytes} bytes planned, ${bytes} made`);
    });
  }

  it('holds no T×T matrix: twice the time is at most twice the memory', () => {
    for (const config of [tinyGpt2, tinyLlama]) {
      const model = createModel({ ...config, context: 512 });
      const [once, twice] = [256, 512].map((time) => activationBytes(model, 1, time));
      assert.ok(twice <= 2 * once, `${config.arch}: ${once}, ${twice}`);
    }
  });

  it('is less where blocks are computed again: a layer more costs little more than its own input', () => {
    for (const config of [tinyGpt2, tinyLlama]) {
      const bytes = (layers: number, recompute: boolean) =>
        activationBytes(createModel({ ...config, layers, context: 256 }), 4, 256, recompute);
      const kept = bytes(9, false) - bytes(8, false);
      const again = bytes(9, true) - bytes(8, true);
      assert.ok(again < 2 * 4 * 4 * 256 * config.channels, `${config.arch}: ${again} bytes a layer`);
      assert.ok(again < kept / 3, `${config.arch}: ${again} instead of ${kept}`);
    }
  });

  it('grows by the sums that wait in the tree: ⌈log₂ M⌉ gradients for a thread that is given M micro-batches', () => {
    const model = createModel(tinyGpt2);
    const { weights, activations, thread, reduction } = memoryEstimate(model, 2, 6, 12);
    assert.equal(weights, 4 * model.size);
    assert.equal(thread, 5 * weights + activations);
    assert.equal(reduction, 5 * weights);
    assert.equal(memoryEstimate(model, 2, 6, 1).thread, weights + activations);
  });
});

describe('wrong input', () => {
  const kernels = createReferenceKernels();
  const model = createModel(tinyGpt2);
  const weights = busyWeights(model);
  const refused: [string, ForwardInput, RegExp][] = [
    [
      'a token beyond the vocabulary',
      { ids: Int32Array.of(11), batch: 1, time: 1 },
      /token 11 .* vocabulary of 11/,
    ],
    ['a negative token', { ids: Int32Array.of(-1), batch: 1, time: 1 }, /token -1/],
    [
      'more positions than the context',
      { ids: new Int32Array(8), batch: 1, time: 8 },
      /8 positions .* context of 7/,
    ],
    [
      'ids that are no whole batch',
      { ids: new Int32Array(5), batch: 2, time: 3 },
      /5 ids are not 2 sequences of 3/,
    ],
    [
      'two sequences for one cache',
      { ids: new Int32Array(2), batch: 2, time: 1, cache: { layers: [], length: 0 } },
      /one sequence/,
    ],
  ];
  for (const [what, input, message] of refused) {
    it(`is refused before anything is computed: ${what}`, async () => {
      await assert.rejects(logitsOf(kernels, model, weights, input), { name: 'RangeError', message });
    });
  }

  it('a cache that is full takes no more', async () => {
    const cache = createCache(kernels, model);
    await logitsOf(kernels, model, weights, { ids: new Int32Array(7), batch: 1, time: 7, cache });
    const more = { ids: new Int32Array(1), batch: 1, time: 1, cache };
    await assert.rejects(logitsOf(kernels, model, weights, more), /8 positions/);
  });
});
