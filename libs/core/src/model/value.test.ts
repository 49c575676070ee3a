import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { UserError } from '../config/index.js';
import { createCpuKernels, createReferenceKernels, type Kernels, type Tensor } from '../kernels/index.js';
import { math, randomStream } from '../numeric/index.js';
import {
  createValueModel,
  initialWeights,
  uploadWeights,
  type ValueModel,
  valueFromJson,
  valueFunction,
  valueProgram,
  valueToJson,
} from './index.js';

const models = {
  linear: createValueModel({ arch: 'linear', inputs: 5, hidden: 0 }),
  network: createValueModel({ arch: 'network', inputs: 7, hidden: 3 }),
};

/** Positions and what they should be valued, made up. */
function rowsFor({ config }: ValueModel, count: number) {
  const random = randomStream(11, config.inputs);
  return Array.from({ length: count }, () => ({
    inputs: Float32Array.from({ length: config.inputs }, () =>
      random.below(3) === 0 ? 0 : Math.fround(random.nextNormal()),
    ),
    target: random.nextFloat(),
  }));
}

/** Cross-entropy between the targets and what the weights make of the inputs, by the book. */
function lossOf(model: ValueModel, weights: Float32Array, rows: ReturnType<typeof rowsFor>): number {
  const value = valueFunction(model, weights);
  return rows.reduce((sum, { inputs, target }) => {
    const win = 1 / (1 + math.exp(-value(inputs)));
    return sum - target * math.log(win) - (1 - target) * math.log(1 - win);
  }, 0);
}

async function gradientOf(
  kernels: Kernels,
  model: ValueModel,
  weights: Float32Array,
  rows: ReturnType<typeof rowsFor>,
  room: number,
): Promise<Float32Array> {
  const value = valueFunction(model, weights);
  const gradient = new Float32Array(model.size).fill(Number.NaN);
  const reads: (Promise<void> | null)[] = [];
  const take = (name: string, tensor: Tensor) => {
    const { offset, size } = model.parameters.find((parameter) => parameter.name === name) ?? {
      offset: 0,
      size: 0,
    };
    reads.push(kernels.readInto(tensor, gradient.subarray(offset, offset + size)));
  };
  const it = valueProgram(kernels, model, uploadWeights(kernels, model, weights), room, take);
  const inputs = new Float32Array(room * model.config.inputs);
  const errors = new Float32Array(room);
  rows.forEach((row, i) => {
    inputs.set(row.inputs, i * model.config.inputs);
    errors[i] = 1 / (1 + math.exp(-value(row.inputs))) - row.target;
  });
  kernels.write(it.inputs, inputs);
  kernels.write(it.errors, errors);
  await kernels.read(it.program.run());
  await Promise.all(reads);
  return gradient;
}

describe('a model that values positions', () => {
  for (const [name, model] of Object.entries(models)) {
    const weights = initialWeights(model, 3);
    const rows = rowsFor(model, 6);

    it(`${name}: its gradient is that of finite differences of the loss`, async () => {
      const gradient = await gradientOf(createReferenceKernels(), model, weights, rows, 6);
      const step = 2 ** -8;
      for (let i = 0; i < model.size; i++) {
        const [above, below] = [step, -step].map((by) =>
          lossOf(model, weights.with(i, weights[i] + by), rows),
        );
        const moved = Math.fround(weights[i] + step) - Math.fround(weights[i] - step);
        const expected = (above - below) / moved;
        assert.ok(Math.abs(gradient[i] - expected) < 1e-4, `${i}: ${gradient[i]}, not ${expected}`);
      }
    });

    it(`${name}: room for more rows changes nothing, and the processor's kernels agree`, async () => {
      const expected = await gradientOf(createReferenceKernels(), model, weights, rows, 6);
      const roomy = await gradientOf(createReferenceKernels(), model, weights, rows, 40);
      const cpu = await gradientOf(await createCpuKernels({ reproducible: true }), model, weights, rows, 40);
      for (let i = 0; i < model.size; i++) {
        assert.ok(Math.abs(roomy[i] - expected[i]) < 1e-6);
        assert.ok(Math.abs(cpu[i] - expected[i]) < 1e-5);
      }
    });
  }

  it('is written and read again by its config', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 0, max: 300 }), (inputs, hidden) => {
        const config = { arch: hidden === 0 ? ('linear' as const) : ('network' as const), inputs, hidden };
        assert.deepEqual(valueFromJson(JSON.parse(JSON.stringify(valueToJson(config)))), config);
      }),
    );
    for (const wrong of [
      null,
      {},
      { ...valueToJson(models.linear.config), hidden: 3 },
      { ...valueToJson(models.network.config), model_type: 'gpt2' },
      { ...valueToJson(models.network.config), inputs: 1e9 },
    ]) {
      assert.throws(() => valueFromJson(wrong), UserError);
    }
  });
});
