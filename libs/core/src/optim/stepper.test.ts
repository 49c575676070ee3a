import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { createModel, type Model, resolveModelConfig } from '../model/index.js';
import {
  applyStep,
  BLOCK,
  createOptimizer,
  createStepper,
  globalNorm,
  type OptimizerConfig,
  optimizers,
  restoreState,
  type Stepper,
} from './index.js';

type Name = OptimizerConfig['name'];
const names = Object.keys(optimizers) as Name[];

function modelOf(channels: number, context: number, vocab: number, arch: 'gpt2' | 'llama' = 'gpt2'): Model {
  const shape = { arch, layers: 2, heads: 1, kvHeads: 1, channels, context, vocab, dropout: 0 };
  return createModel(resolveModelConfig({ ...shape, tieEmbeddings: arch === 'gpt2' }));
}

/** An odd number of channels makes offsets and sizes odd; the vocabulary's table spans blocks. */
const models = [modelOf(3, 5, 7), modelOf(31, 9, 4601), modelOf(32, 8, 2100, 'llama')];

const settings = { lr: 1e-3, betas: [0.9, 0.95], eps: 1e-8, weightDecay: 0.1 } as const;

function numbers(count: number, salt: number, shared = false): Float32Array {
  const values = new Float32Array(shared ? new SharedArrayBuffer(4 * count) : new ArrayBuffer(4 * count));
  let state = Math.imul(salt, 2654435761) + 12345;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[i] = state / 2 ** 31 - 1;
  }
  return values;
}

const open: Stepper[] = [];
after(() => Promise.all(open.map((stepper) => stepper.close())));

async function start(config: OptimizerConfig, model: Model, threads: number): Promise<Stepper> {
  const stepper = await createStepper(config, model, { threads, measure: true });
  open.push(stepper);
  return stepper;
}

const step = { targets: 37, learningRate: 1e-3, gradientClip: 0.5, t: 1 };

async function normOf(stepper: Stepper, gradient: Float32Array): Promise<number> {
  stepper.squares(gradient, 0, gradient.length);
  return stepper.norm() / step.targets;
}

describe('a stepper', () => {
  for (const name of names) {
    for (const threads of [1, 2, 5]) {
      it(`has applyStep's bits with ${name} on ${threads} threads`, async () => {
        const choice = fc.record({
          model: fc.constantFrom(...models),
          nesterov: fc.boolean(),
          gradientClip: fc.constantFrom(0, 0.5),
          salt: fc.nat(1000),
          measure: fc.boolean(),
        });
        await fc.assert(
          fc.asyncProperty(choice, async ({ model, nesterov, gradientClip, salt, measure }) => {
            const config = { ...settings, name, nesterov };
            const optimizer = createOptimizer(config, model);
            const weights = numbers(model.size, salt);
            const stepper = await createStepper(config, model, { threads, measure });
            stepper.weights.set(weights);
            for (let t = 1; t <= 3; t++) {
              const gradient = numbers(model.size, salt + t, true);
              const gradNorm = await normOf(stepper, gradient);
              const result = await stepper.step({ ...step, gradient, gradNorm, gradientClip, t });
              const expected = applyStep({ ...step, model, optimizer, weights, gradient, gradientClip, t });
              const { updateRatio } = expected;
              assert.deepEqual(result, { ...expected, updateRatio: measure ? updateRatio : null });
            }
            assert.equal(stepper.name, optimizer.name);
            assert.deepEqual(stepper.weights, weights);
            assert.deepEqual(stepper.state, optimizer.state);
            await stepper.close();
          }),
          {
            // A thread takes its time to start: every model on two threads, the one of odd sizes on others.
            numRuns: threads === 2 ? 4 : 1,
            examples: [1, 0, 2].map((i) => [
              { model: models[i], nesterov: true, gradientClip: 0.5, salt: i, measure: i !== 1 },
            ]),
          },
        );
      });
    }

    it(`goes on from a restored state of ${name} as if it had never stopped`, async () => {
      const model = models[1];
      const config = { ...settings, name };
      const [whole, first, resumed] = await Promise.all(
        [2, 1, 3].map((threads) => start(config, model, threads)),
      );
      const steps = async (stepper: Stepper, from: number, to: number) => {
        for (let t = from; t <= to; t++) {
          const gradient = numbers(model.size, t, true);
          await stepper.step({ ...step, gradient, gradNorm: await normOf(stepper, gradient), t });
        }
      };
      for (const stepper of [whole, first]) stepper.weights.set(numbers(model.size, 0));
      await steps(whole, 1, 4);
      await steps(first, 1, 2);
      resumed.weights.set(first.weights);
      restoreState(resumed, structuredClone(first.state));
      await steps(resumed, 3, 4);
      assert.deepEqual(resumed.weights, whole.weights);
      assert.deepEqual(resumed.state, whole.state);
    });

    it(`tells of every weight of ${name} once, on the grid, when it is final`, async () => {
      for (const model of models) {
        const stepper = await start({ ...settings, name }, model, 2);
        stepper.weights.set(numbers(model.size, 1));
        const gradient = numbers(model.size, 2, true);
        const told: { from: number; to: number; values: Float32Array }[] = [];
        await stepper.step({
          ...step,
          gradient,
          gradNorm: await normOf(stepper, gradient),
          done: (from, to) => told.push({ from, to, values: stepper.weights.slice(from, to) }),
        });
        told.sort((a, b) => a.from - b.from);
        let end = 0;
        for (const { from, to, values } of told) {
          assert.equal(from, end);
          assert.ok(to > from && from % BLOCK === 0 && (to % BLOCK === 0 || to === model.size));
          assert.deepEqual(values, stepper.weights.slice(from, to));
          end = to;
        }
        assert.equal(end, model.size);
      }
    });

    it(`skips a step of ${name} whose gradient is not finite, or that has no target`, async () => {
      const model = models[1];
      const stepper = await start({ ...settings, name }, model, 2);
      const before = numbers(model.size, 1);
      stepper.weights.set(before);
      for (const at of [0, BLOCK, model.size - 1]) {
        for (const value of [Number.NaN, Number.NEGATIVE_INFINITY]) {
          const gradient = numbers(model.size, 2, true);
          gradient[at] = value;
          const gradNorm = await normOf(stepper, gradient);
          const result = await stepper.step({ ...step, gradient, gradNorm, done: () => assert.fail() });
          assert.equal(result.skipped, true);
          assert.equal(Number.isFinite(result.gradNorm), false);
          assert.deepEqual(result.updateRatio, { overall: 0, groups: {} });
        }
      }
      const none = await stepper.step({
        ...step,
        gradient: numbers(model.size, 2, true),
        gradNorm: 0,
        targets: 0,
      });
      assert.equal(none.skipped, true);
      assert.deepEqual(stepper.weights, before);
      for (const state of Object.values(stepper.state)) assert.ok(state.every((value) => value === 0));
    });
  }

  it('finds the norm from blocks in any order, in the bits of the whole', async () => {
    const model = models[1];
    const stepper = await start({ ...settings, name: 'sgd' }, model, 2);
    const borders = [0, BLOCK, 2 * BLOCK, model.size];
    const ranges = borders.slice(1).map((to, i) => [borders[i], to]);
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray(ranges, { minLength: 3 }), fc.nat(99), async (order, salt) => {
        const gradient = numbers(model.size, salt, true);
        const sums = order.map(([from, to]) => stepper.squares(gradient, from, to));
        assert.equal(stepper.norm(), globalNorm(gradient));
        const [from, to] = order[0];
        assert.ok(Math.abs(sums[0] / globalNorm(gradient.slice(from, to)) ** 2 - 1) < 1e-12);
      }),
      { numRuns: 10 },
    );
    assert.equal(stepper.squares(numbers(model.size, 1, true), model.size, model.size), 0);
  });

  it('refuses what is not on the grid, not of its size or not in shared memory', async () => {
    const model = models[1];
    const stepper = await start({ ...settings, name: 'sgd' }, model, 1);
    const gradient = numbers(model.size, 1, true);
    for (const [from, to] of [
      [0, 5],
      [1, BLOCK],
      [BLOCK, 0],
      [-BLOCK, 0],
      [0, 4 * BLOCK],
    ]) {
      assert.throws(() => stepper.squares(gradient, from, to), RangeError);
    }
    for (const wrong of [numbers(model.size, 1), numbers(model.size + 1, 1, true)]) {
      assert.throws(() => stepper.squares(wrong, 0, BLOCK), /must have 166842 values in shared memory/);
      await assert.rejects(stepper.step({ ...step, gradient: wrong, gradNorm: 1 }), RangeError);
    }
    for (const threads of [0, 1.5, Number.NaN]) {
      await assert.rejects(
        createStepper({ ...settings, name: 'sgd' }, model, { threads, measure: true }),
        RangeError,
      );
    }
  });

  it('takes one step at a time, and another once that is over, even where its listener threw', async () => {
    const model = models[1];
    const stepper = await start({ ...settings, name: 'adamw' }, model, 2);
    const gradient = numbers(model.size, 1, true);
    const done = () => {
      throw new Error('the listener does not want it');
    };
    const first = stepper.step({ ...step, gradient, gradNorm: 1, done });
    await assert.rejects(stepper.step({ ...step, gradient, gradNorm: 1 }), /a step is under way/);
    await assert.rejects(first, /does not want it/);
    assert.equal((await stepper.step({ ...step, gradient, gradNorm: 1, t: 2 })).skipped, false);
  });

  it("rejects a step in the words of the thread's error, and everything once it is closed", async () => {
    // Memory that is asked for but never touched: the matrix is refused before.
    const side = 2 ** 14;
    const [parameter] = models[0].parameters.filter(({ kind }) => kind === 'matrix');
    const size = side * side;
    const model = {
      ...models[0],
      size,
      parameters: [{ ...parameter, offset: 0, size, shape: [side, side] }],
    };
    const stepper = await start({ ...settings, name: 'muon' }, model, 2);
    const gradient = new Float32Array(new SharedArrayBuffer(4 * size));
    await assert.rejects(stepper.step({ ...step, gradient, gradNorm: 1 }), {
      name: 'RangeError',
      message: /16384 × 16384 is too large for muon/,
    });
    await stepper.close();
    await assert.rejects(stepper.step({ ...step, gradient, gradNorm: 1 }), /thread has ended/);
  });

  it('rejects what is under way when it is closed', async () => {
    const stepper = await start({ ...settings, name: 'muon' }, modelOf(256, 9, 11), 1);
    const gradient = numbers(stepper.weights.length, 1, true);
    const under = assert.rejects(stepper.step({ ...step, gradient, gradNorm: 1 }), /thread has ended/);
    await stepper.close();
    await under;
  });

  it('holds no process that has nothing else to do, but one that awaits a step', () => {
    const script = `
      const { createModel, resolveModelConfig } = await import('${new URL('../model/index.js', import.meta.url)}');
      const { createStepper } = await import('${new URL('./index.js', import.meta.url)}');
      const shape = { arch: 'gpt2', layers: 1, heads: 1, kvHeads: 1, channels: 4, context: 4, vocab: 5, dropout: 0 };
      const model = createModel(resolveModelConfig({ ...shape, tieEmbeddings: true }));
      const config = { name: 'adamw', lr: 1e-3, betas: [0.9, 0.95], eps: 1e-8, weightDecay: 0 };
      const stepper = await createStepper(config, model, { threads: 2, measure: true });
      const gradient = new Float32Array(new SharedArrayBuffer(4 * model.size)).fill(1);
      const step = { gradient, gradNorm: 1, targets: 1, learningRate: 1e-3, gradientClip: 0, t: 1 };
      console.log((await stepper.step(step)).skipped);
    `;
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
      timeout: 60_000,
    });
    assert.deepEqual([status, stdout.trim(), stderr], [0, 'false', '']);
  });
});
