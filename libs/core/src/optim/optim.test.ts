import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createModel, type Model, resolveModelConfig } from '../model/index.js';
import { blockSquares } from './clip.js';
import {
  applyStep,
  BLOCK,
  clipByGlobalNorm,
  createOptimizer,
  decayedAt,
  globalNorm,
  learningRate,
  type OptimizerConfig,
  optimizers,
  restoreState,
} from './index.js';
import { power } from './rates.js';

const model: Model = createModel(
  resolveModelConfig({
    arch: 'gpt2',
    layers: 1,
    heads: 1,
    kvHeads: 1,
    channels: 5, // odd sizes: the kernels go by pairs
    context: 6,
    vocab: 7,
    dropout: 0,
    tieEmbeddings: true,
  }),
);

const settings: OptimizerConfig = {
  name: 'adamw',
  lr: 1e-2,
  betas: [0.9, 0.95],
  eps: 1e-3, // large enough to be seen
  weightDecay: 0.1,
  momentum: 0.9,
  nesterov: false,
};

/** Numbers in −1 … 1, the same every time, of no pattern that an optimiser could mistake for a trend. */
function numbers(count: number, salt: number): Float32Array {
  let state = salt * 2654435761 + 12345;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

/** The textbook, an entry at a time: what each weight becomes from all of its gradients so far. */
type Textbook = (weight: number, gradients: readonly number[], decay: number) => number;

function assertFollows(config: OptimizerConfig, textbook: Textbook, isIts: (kind: string) => boolean): void {
  const optimizer = createOptimizer(config, model);
  const weights = numbers(model.size, 1);
  const gradients: Float32Array[] = [];
  for (let t = 1; t <= 4; t++) {
    const before = weights.slice();
    gradients.push(numbers(model.size, 100 + t));
    optimizer.step(weights, gradients[t - 1], config.lr, t);
    for (const { kind, offset, size, decay } of model.parameters) {
      if (!isIts(kind)) continue;
      for (let i = offset; i < offset + size; i++) {
        const expected = textbook(
          before[i],
          gradients.map((gradient) => gradient[i]),
          decay ? config.weightDecay : 0,
        );
        assert.ok(
          Math.abs(weights[i] - expected) < 1e-6,
          `entry ${i} at step ${t}: ${weights[i]}, ${expected}`,
        );
      }
    }
  }
}

const adamTextbook: Textbook = (weight, gradients, decay) => {
  const { lr, betas, eps } = settings;
  const t = gradients.length;
  // The moments as sums over the past instead of recurrences.
  const moment = (beta: number, of: (g: number) => number) =>
    gradients.reduce((sum, g, i) => sum + (1 - beta) * beta ** (t - 1 - i) * of(g), 0) / (1 - beta ** t);
  const mean = moment(betas[0], (g) => g);
  const square = moment(betas[1], (g) => g * g);
  return weight - lr * decay * weight - (lr * mean) / (Math.sqrt(square) + eps);
};

describe('optimisers', () => {
  it('adamw is Adam with bias correction, and decays tensors of two dimensions apart from the gradient', () => {
    assertFollows(settings, adamTextbook, () => true);
  });

  it('sgd follows a decaying sum of gradients', () => {
    const plain: Textbook = (weight, gradients, decay) => {
      const t = gradients.length;
      const velocity = gradients.reduce((sum, g, i) => sum + 0.9 ** (t - 1 - i) * g, 0);
      return weight * (1 - settings.lr * decay) - settings.lr * velocity;
    };
    assertFollows({ ...settings, name: 'sgd' }, plain, () => true);
  });

  it("sgd with Nesterov's momentum looks one step ahead", () => {
    const ahead: Textbook = (weight, gradients, decay) => {
      const t = gradients.length;
      const velocity = gradients.reduce((sum, g, i) => sum + 0.9 ** (t - 1 - i) * g, 0);
      const direction = gradients[t - 1] + 0.9 * velocity;
      return weight * (1 - settings.lr * decay) - settings.lr * direction;
    };
    assertFollows({ ...settings, name: 'sgd', nesterov: true }, ahead, () => true);
  });

  it('adamw and sgd round as plain JavaScript does: in float64, once to float32', () => {
    const any = fc.record({
      nesterov: fc.boolean(),
      eps: fc.constantFrom(1e-8, 1e-3),
      weightDecay: fc.constantFrom(0, 0.1),
      lr: fc.double({ min: 1e-6, max: 1, noNaN: true }),
      size: fc.constantFrom(1e-30, 1e-3, 1, 1e20),
      salt: fc.nat(1000),
    });
    fc.assert(
      fc.property(any, ({ nesterov, eps, weightDecay, lr, size, salt }) => {
        const config = { ...settings, nesterov, eps, weightDecay };
        const [adam, descent] = [
          createOptimizer(config, model),
          createOptimizer({ ...config, name: 'sgd' }, model),
        ];
        const start = numbers(model.size, salt);
        const [w, u] = [start.slice(), start.slice()];
        const expected = [start.slice(), start.slice()];
        const [m, v, b] = [0, 0, 0].map(() => new Float32Array(model.size));
        for (let t = 1; t <= 3; t++) {
          const gradient = numbers(model.size, salt + t).map((g) => g * size);
          adam.step(w, gradient, lr, t);
          descent.step(u, gradient, lr, t);
          const rate = lr / (1 - power(0.9, t));
          const root = 1 / Math.sqrt(1 - power(0.95, t));
          for (const { offset, size: count, decay } of model.parameters) {
            const keep = decay ? 1 - lr * weightDecay : 1;
            for (let i = offset; i < offset + count; i++) {
              const g = gradient[i];
              const mean = 0.9 * m[i] + (1 - 0.9) * g;
              const square = 0.95 * v[i] + (1 - 0.95) * g * g;
              const velocity = 0.9 * b[i] + g;
              [m[i], v[i], b[i]] = [mean, square, velocity];
              const step = (rate * mean) / (Math.sqrt(square) * root + eps);
              const direction = nesterov ? g + 0.9 * velocity : velocity;
              expected[0][i] = Math.fround(keep * expected[0][i] - step);
              expected[1][i] = Math.fround(keep * expected[1][i] - lr * direction);
            }
          }
        }
        assert.deepEqual(w, expected[0]);
        assert.deepEqual(u, expected[1]);
        assert.deepEqual(adam.state, { exp_avg: m, exp_avg_sq: v });
        assert.deepEqual(descent.state, { momentum_buffer: b });
      }),
      { numRuns: 40 },
    );
  });

  it('muon leaves embeddings and vectors to AdamW', () => {
    assertFollows({ ...settings, name: 'muon' }, adamTextbook, (kind) => kind !== 'matrix');
  });

  it('muon moves a hidden matrix by a nearly orthogonal one, whatever the size of the gradient', () => {
    const config: OptimizerConfig = { ...settings, name: 'muon', weightDecay: 0 };
    const moves = [1, 1e-4].map((factor) => {
      const optimizer = createOptimizer(config, model);
      const weights = new Float32Array(model.size);
      optimizer.step(
        weights,
        numbers(model.size, 5).map((g) => g * factor),
        config.lr,
        1,
      );
      return weights;
    });
    for (const { kind, offset, size, shape } of model.parameters) {
      if (kind !== 'matrix') continue;
      const [short, long] = [Math.min(...shape), Math.max(...shape)];
      for (const move of moves) {
        const part = move.subarray(offset, offset + size);
        const rms = Math.sqrt(part.reduce((sum, x) => sum + x * x, 0) / size);
        // 0.2·√long · √(short/(rows·columns)) with singular values near 1
        assert.ok(rms > 0.6 * 0.2 * config.lr && rms < 1.25 * 0.2 * config.lr, `${short}×${long}: ${rms}`);
      }
      for (let i = offset; i < offset + size; i++) {
        assert.ok(Math.abs(moves[0][i] - moves[1][i]) < 0.02 * config.lr);
      }
    }
  });

  for (const name of Object.keys(optimizers) as OptimizerConfig['name'][]) {
    it(`${name} goes on from a restored state as if it had never stopped`, () => {
      const config = { ...settings, name };
      const [whole, first] = [createOptimizer(config, model), createOptimizer(config, model)];
      const expected = numbers(model.size, 1);
      const weights = expected.slice();
      for (let t = 1; t <= 4; t++) whole.step(expected, numbers(model.size, t), 1e-2, t);
      for (let t = 1; t <= 2; t++) first.step(weights, numbers(model.size, t), 1e-2, t);
      const resumed = createOptimizer(config, model);
      restoreState(resumed, structuredClone(first.state));
      for (let t = 3; t <= 4; t++) resumed.step(weights, numbers(model.size, t), 1e-2, t);
      assert.deepEqual(weights, expected);
    });

    it(`${name} reports how far each parameter moved`, () => {
      const optimizer = createOptimizer({ ...settings, name }, model);
      const weights = numbers(model.size, 1);
      const before = weights.slice();
      const { update, weights: lengths } = optimizer.step(weights, numbers(model.size, 2), 1e-2, 1);
      for (const [number, { offset, size }] of model.parameters.entries()) {
        let [moved, length] = [0, 0];
        for (let i = offset; i < offset + size; i++) {
          moved += (weights[i] - before[i]) ** 2;
          length += before[i] ** 2;
        }
        assert.ok(moved > 0);
        assert.ok(Math.abs(update[number] - moved) <= 1e-12 * moved);
        assert.ok(Math.abs(lengths[number] - length) <= 1e-12 * length);
      }
    });
  }

  it('a state of another optimiser or model is refused in one sentence', () => {
    const optimizer = createOptimizer(settings, model);
    assert.throws(() => restoreState(optimizer, { momentum_buffer: new Float32Array(model.size) }), {
      name: 'UserError',
      message: /holds momentum_buffer, but adamw needs exp_avg, exp_avg_sq/,
    });
    const short = { exp_avg: new Float32Array(3), exp_avg_sq: new Float32Array(model.size) };
    assert.throws(() => restoreState(optimizer, short), /exp_avg has 3 values/);
  });

  it('raises to a power by products alone', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.5, max: 1, noNaN: true }), fc.nat(5000), (x, t) => {
        const expected = x ** t;
        assert.ok(Math.abs(power(x, t) - expected) <= 1e-12 * expected + 1e-300);
      }),
    );
    assert.equal(power(0.5, 10), 2 ** -10);
    assert.equal(power(0, 1), 0);
    assert.ok(1 - power(0.999, 1e9) === 1);
  });
});

describe('learning rate', () => {
  const optimizer = { lr: 1e-3 };

  it("follows nanoGPT's cosine with warm-up", () => {
    const schedule = { name: 'cosine', warmup: 100, minLr: 1e-4 } as const;
    for (let step = 0; step < 2000; step++) {
      const expected =
        step < 100
          ? (1e-3 * (step + 1)) / 100
          : 1e-4 + 0.5 * (1 + Math.cos((Math.PI * (step - 100)) / 1900)) * 9e-4;
      assert.ok(Math.abs(learningRate(schedule, optimizer, step, 2000) - expected) < 1e-15);
    }
  });

  it('stays, then decays in the last fifth with wsd', () => {
    const schedule = { name: 'wsd', warmup: 10, minLr: 1e-5 } as const;
    const rate = (step: number) => learningRate(schedule, optimizer, step, 1010);
    assert.equal(rate(9), 1e-3);
    assert.equal(rate(10), 1e-3);
    assert.equal(rate(810), 1e-3);
    assert.ok(Math.abs(rate(860) - (1e-5 + 0.5 * 9.9e-4)) < 1e-12, 'a quarter of the decay: half is gone');
    assert.ok(rate(1009) > 1e-5 && rate(1009) < 2e-5);
    assert.ok(Math.abs(rate(1010) - 1e-5) < 1e-15);
  });

  it('rises from the lowest by the same factor at each step in a sweep, and never comes down', () => {
    const schedule = { name: 'sweep', warmup: 0, minLr: 1e-6 } as const;
    const rate = (step: number) => learningRate(schedule, optimizer, step, 60);
    assert.ok(Math.abs(rate(0) / 1e-6 - 1) < 1e-12 && Math.abs(rate(60) / 1e-3 - 1) < 1e-12);
    for (let step = 0; step < 60; step++) {
      assert.ok(Math.abs(rate(step + 1) / rate(step) - 10 ** (3 / 60)) < 1e-12);
    }
    assert.equal(decayedAt(schedule, 60), 60);
  });

  it('is positive, never above the highest, never below the lowest after warm-up, and never rises again', () => {
    const steps = fc.integer({ min: 1, max: 400 });
    const names = fc.constantFrom('constant', 'cosine', 'wsd');
    fc.assert(
      fc.property(
        names,
        steps,
        fc.nat(300),
        fc.double({ min: 0, max: 1e-3, noNaN: true }),
        (name, n, warmup, minLr) => {
          let before = Number.POSITIVE_INFINITY;
          for (let step = 0; step < n; step++) {
            const rate = learningRate({ name, warmup, minLr }, optimizer, step, n);
            assert.ok(rate > 0 || (minLr === 0 && step > warmup));
            assert.ok(rate <= 1e-3 * (1 + 1e-12));
            if (step < warmup) continue;
            assert.ok(rate >= minLr * (1 - 1e-12));
            assert.ok(rate <= before * (1 + 1e-12));
            before = rate;
          }
        },
      ),
    );
  });
});

describe('clipping', () => {
  it('scales to the largest norm and no further', () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ min: -1000, max: 1000, noNaN: true }), { maxLength: 40 }),
        fc.double({ min: 1e-3, max: 100, noNaN: true }),
        (values, most) => {
          const gradient = Float32Array.from(values);
          const norm = Math.hypot(...gradient);
          assert.ok(Math.abs(clipByGlobalNorm(gradient, most) - norm) <= 1e-12 * norm);
          const after = Math.hypot(...gradient);
          assert.ok(after <= most * (1 + 1e-6));
          if (norm < most - 1e-6) assert.deepEqual(gradient, Float32Array.from(values));
          else assert.ok(after >= most * (1 - 1e-3));
        },
      ),
    );
  });

  it('does not overflow where float32 would, and 0 is no limit', () => {
    const gradient = new Float32Array(16).fill(1e30);
    assert.ok(Math.abs(clipByGlobalNorm(gradient, 0) / 4e30 - 1) < 1e-6);
    assert.equal(gradient[0], Math.fround(1e30));
  });
});

describe('the global norm', () => {
  it('adds the sums of blocks of a fixed grid, in order', () => {
    for (let salt = 1; salt <= 8; salt++) {
      const values = numbers(2 * BLOCK + 77, salt);
      let sum = 0;
      for (let from = 0; from < values.length; from += BLOCK) {
        const lanes = [0, 0, 0, 0];
        const block = values.slice(from, from + BLOCK);
        const whole = block.length - (block.length % 4);
        for (const [i, x] of block.entries()) lanes[i < whole ? i % 4 : 0] += x * x;
        const squares = lanes[0] + lanes[1] + (lanes[2] + lanes[3]);
        assert.equal(blockSquares(values, from), squares);
        sum += squares;
      }
      assert.equal(globalNorm(values), Math.sqrt(sum));
    }
  });

  it('is not finite where one value is not, wherever it lies', () => {
    for (const at of [0, 3, BLOCK - 1, BLOCK, BLOCK + 2]) {
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        const values = new Float32Array(BLOCK + 3);
        values[at] = value;
        assert.equal(Number.isFinite(globalNorm(values)), false);
      }
    }
    assert.equal(globalNorm(new Float32Array(0)), 0);
  });
});

describe('applyStep', () => {
  const fresh = (name: OptimizerConfig['name']) => ({
    model,
    optimizer: createOptimizer({ ...settings, name }, model),
    weights: numbers(model.size, 1),
    learningRate: 1e-3,
    gradientClip: 1,
    t: 1,
  });

  it('is the optimiser on the clipped mean over the targets', () => {
    const step = fresh('adamw');
    const sum = numbers(model.size, 2);
    const mean = sum.map((g) => g / 50);
    const expected = step.weights.slice();
    const norm = clipByGlobalNorm(mean, 0.1);
    createOptimizer(settings, model).step(expected, mean, 1e-3, 1);
    const result = applyStep({ ...step, gradient: sum, targets: 50, gradientClip: 0.1 });
    assert.ok(norm > 0.1, 'the case must clip');
    assert.ok(Math.abs(result.gradNorm / norm - 1) < 1e-6);
    assert.equal(result.skipped, false);
    for (const [i, weight] of step.weights.entries()) assert.ok(Math.abs(weight - expected[i]) < 1e-7);
  });

  it('shows the size of the change against the weights, over all and over each group', () => {
    const step = fresh('adamw');
    const before = step.weights.slice();
    const { updateRatio } = applyStep({ ...step, gradient: numbers(model.size, 2), targets: 1 });
    const norm = (of: (i: number) => number, group?: string) => {
      let sum = 0;
      for (const parameter of model.parameters) {
        if (group !== undefined && parameter.group !== group) continue;
        for (let i = parameter.offset; i < parameter.offset + parameter.size; i++) sum += of(i) ** 2;
      }
      return Math.sqrt(sum);
    };
    const ratio = (group?: string) =>
      norm((i) => step.weights[i] - before[i], group) / norm((i) => before[i], group);
    assert.ok(updateRatio !== null);
    assert.deepEqual(Object.keys(updateRatio.groups), ['embeddings', 'norms', 'attention', 'mlp']);
    assert.ok(Math.abs(updateRatio.overall - ratio()) < 1e-9);
    for (const [group, value] of Object.entries(updateRatio.groups)) {
      assert.ok(Math.abs(value - ratio(group)) < 1e-9, group);
    }
  });

  for (const [what, value] of [
    ['NaN', Number.NaN],
    ['an infinity', Number.POSITIVE_INFINITY],
    ['a negative infinity', Number.NEGATIVE_INFINITY],
  ] as const) {
    it(`skips a step with ${what} in its gradient: weights and state stay as they were`, () => {
      for (const name of Object.keys(optimizers) as OptimizerConfig['name'][]) {
        const step = fresh(name);
        const gradient = numbers(model.size, 2);
        gradient[model.size - 1] = value;
        const result = applyStep({ ...step, gradient, targets: 3 });
        assert.equal(result.skipped, true);
        assert.equal(Number.isFinite(result.gradNorm), false);
        assert.equal(result.updateRatio?.overall, 0);
        assert.deepEqual(step.weights, numbers(model.size, 1));
        for (const state of Object.values(step.optimizer.state)) assert.equal(globalNorm(state), 0);
      }
    });
  }

  it('skips a batch without targets', () => {
    const step = fresh('adamw');
    const result = applyStep({ ...step, gradient: new Float32Array(model.size), targets: 0 });
    assert.equal(result.skipped, true);
    assert.deepEqual(step.weights, numbers(model.size, 1));
  });
});
