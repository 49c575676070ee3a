import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseConfig } from '@manyhands/core/config';
import { createReferenceKernels } from '@manyhands/core/kernels';
import { initialWeights, valueFunction } from '@manyhands/core/model';
import { math, randomStream } from '@manyhands/core/numeric';
import { learnerOf } from '../task.js';
import { selfPlay } from './self-play.js';
import { type CheckersTask, checkersTask, describe as describing, evaluationOf } from './task.js';

const play = { name: 'checkers', depth: 1, openingMoves: 4, exploration: 0.1, lambda: 0.7, maxMoves: 40 };
const place = { seed: 5, step: 2 };
const game = (index: number, number: number, split: 'train' | 'validation' = 'train') => ({
  index,
  games: [{ split, number }],
});

function learner(task: CheckersTask, weights = initialWeights(task.model, 1)) {
  const made = learnerOf(task, createReferenceKernels(), { recompute: false });
  made.setWeights(weights);
  return made;
}

for (const evaluation of ['samuel', 'network']) {
  const task = checkersTask(parseConfig({ task: { ...play, evaluation, hidden: 3 } }));
  const gradient = async (index: number, number: number) => {
    const into = new Float32Array(task.model.size);
    return { into, ...(await learner(task).gradients(game(index, number), place, into)) };
  };

  describe(`a micro-batch of games, ${evaluation}`, () => {
    it('is what its number and the weights say, wherever it stands in the batch', async () => {
      const first = await gradient(0, 7);
      assert.ok(first.targets > 5 && first.targets <= play.maxMoves);
      assert.ok(first.into.some((value) => value !== 0));
      assert.deepEqual(await gradient(3, 7), first);
      assert.notDeepEqual((await gradient(0, 8)).into, first.into);
    });

    it('of several games is their sum', async () => {
      const [one, two] = [await gradient(0, 7), await gradient(0, 8)];
      const into = new Float32Array(task.model.size);
      const both = { index: 0, games: [...game(0, 7).games, ...game(0, 8).games] };
      const { lossSum, targets } = await learner(task).gradients(both, place, into);
      assert.equal(targets, one.targets + two.targets);
      assert.ok(Math.abs(lossSum - one.lossSum - two.lossSum) < 1e-9);
      for (let i = 0; i < into.length; i++) {
        assert.ok(Math.abs(into[i] - one.into[i] - two.into[i]) < 1e-5);
      }
    });

    it('is evaluated by the same loss as it is learned from', async () => {
      const { lossSum, targets } = await gradient(0, 7);
      assert.deepEqual(await learner(task).evaluate(game(0, 7), place), { lossSum, targets });
    });

    it('against who counts material loses a point, half of one, or none, the same each time', async () => {
      for (const number of [0, 1, 2, 3]) {
        const { lossSum, targets } = await learner(task).evaluate(game(0, number, 'validation'), place);
        assert.equal(targets, 1);
        assert.ok([0, 0.5, 1].includes(lossSum));
        assert.deepEqual(await learner(task).evaluate(game(0, number, 'validation'), place), {
          lossSum,
          targets,
        });
      }
    });
  });
}

describe('what a game teaches', () => {
  it('has the gradient of finite differences, computed apart from all kernels, and a step along it lowers the loss', async () => {
    const task = checkersTask(
      parseConfig({ task: { ...play, lambda: 1, exploration: 0, evaluation: 'samuel' } }),
    );
    const weights = initialWeights(task.model, 1);
    const into = new Float32Array(task.model.size);
    const { lossSum } = await learner(task, weights).gradients(game(0, 7), place, into);
    const taught = selfPlay(evaluationOf(task.model, weights), task.play, randomStream(5, 0x47414d45, 7));
    const lossWith = (flat: Float32Array) => {
      const value = valueFunction(task.model, flat);
      return taught.reduce((sum, { position, target }) => {
        const win = 1 / (1 + math.exp(-value(describing(task.model)(position))));
        return sum - target * math.log(win) - (1 - target) * math.log(1 - win);
      }, 0);
    };
    assert.ok(Math.abs(lossWith(weights) - lossSum) < 1e-9);
    const size = 2 ** -10;
    for (let i = 0; i < weights.length; i++) {
      const [above, below] = [size, -size].map((by) => lossWith(weights.with(i, weights[i] + by)));
      const moved = Math.fround(weights[i] + size) - Math.fround(weights[i] - size);
      assert.ok(Math.abs(into[i] - (above - below) / moved) < 1e-3 * Math.max(1, Math.abs(into[i])), `${i}`);
    }
    assert.ok(lossWith(weights.map((weight, i) => weight - 1e-3 * into[i])) < lossSum);
  });
});
