import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomStream } from '../numeric/index.js';
import { type MeanLoss, mixed, NgramModel, Surprise, shiftOf, verdictOf } from './index.js';

const near = (a: number | null, b: number) =>
  assert.ok(a !== null && Math.abs(a - b) < 1e-9, `${a} is not ${b}`);

function costOf(model: NgramModel, documents: readonly (readonly number[])[]): readonly MeanLoss[] {
  const surprise = new Surprise(model);
  for (const document of documents) {
    surprise.add(document);
    surprise.endDocument();
  }
  return surprise.results ?? assert.fail('no document');
}

test('a small case is what a hand counts', () => {
  const model = new NgramModel(2, 2);
  model.learn([0, 1, 0, 1, 1]); // 1 0 1 1: alone 0 has 2/6, 1 has 4/6; after 0 came 1, 1; after 1 came 0, 1
  const after = { '01': (2 + 1 * (4 / 6)) / 3, '10': (1 + 2 * (2 / 6)) / 4, '11': (1 + 2 * (4 / 6)) / 4 };
  const reference = costOf(model, [
    [0, 1, 1],
    [1, 1],
  ]);
  const text = costOf(model, [
    [1, 0],
    [1, 0, 1],
  ]);
  near(reference[0].mean, -Math.log(4 / 6));
  near(reference[1].mean, -(Math.log(after['01']) + 2 * Math.log(after['11'])) / 3);
  near(text[1].mean, -(2 * Math.log(after['10']) + Math.log(after['01'])) / 3);
  const [unigrams, bigrams] = shiftOf(reference, text);
  near(unigrams.difference, -(2 * Math.log(2 / 6) + Math.log(4 / 6)) / 3 + Math.log(4 / 6));
  near(bigrams.difference, text[1].mean - reference[1].mean);
  // Two documents of the text, of one token and of two: deviations of their sums from the common mean.
  const deviations = [-Math.log(after['10']), -Math.log(after['10']) - Math.log(after['01'])].map(
    (sum, i) => sum - (i + 1) * text[1].mean,
  );
  const error = Math.sqrt(2 * (deviations[0] ** 2 + deviations[1] ** 2)) / 3;
  near(text[1].error, error);
  near(bigrams.error, Math.sqrt(error ** 2 + (reference[1].error ?? 0) ** 2));
});

test('sources count by their shares, not by their lengths', () => {
  const part = (mean: number, count: number, error: number | null): MeanLoss => ({
    ...{ mean, count, documents: 3, error, over: 'documents' },
  });
  const both = mixed([
    { share: 3, mean: part(1, 10, 0.1) },
    { share: 1, mean: part(2, 1000, 0.4) },
  ]);
  near(both.mean, 1.25);
  near(both.error, Math.sqrt(0.075 ** 2 + 0.1 ** 2));
  assert.deepEqual([both.count, both.documents], [1010, 6]);
  assert.equal(mixed([{ share: 1, mean: part(1, 10, null) }]).error, null);
});

/** Documents of a language whose tokens follow each other by chances of its own. */
function language(seed: number, step: number) {
  const chances = randomStream(seed, 1, 0);
  const next = Array.from({ length: 6 }, () => Array.from({ length: 6 }, () => chances.nextFloat() ** 4));
  const random = randomStream(seed, 2, step);
  const draw = (weights: readonly number[]) => {
    let rest = random.nextFloat() * weights.reduce((a, b) => a + b);
    const found = weights.findIndex((weight) => {
      rest -= weight;
      return rest < 0;
    });
    return Math.max(0, found);
  };
  return (documents: number) =>
    Array.from({ length: documents }, () => {
      const tokens = [random.below(6)];
      for (let i = random.below(120); i >= 0; i--) tokens.push(draw(next[tokens[tokens.length - 1]]));
      return tokens;
    });
}

test('more text of the same language is no other in 19 of 20 draws, another language always is', () => {
  let same = 0;
  const draws = 60;
  for (let seed = 1; seed <= draws; seed++) {
    const write = language(seed, 0);
    const model = new NgramModel(6, 3);
    for (const document of write(60)) model.learn(document);
    const kept = costOf(model, write(40));
    const [, , again] = shiftOf(kept, costOf(model, write(40)));
    if (verdictOf(again) === 'no other') same += 1;
    const [, , foreign] = shiftOf(kept, costOf(model, language(seed + 1000, 0)(40)));
    assert.equal(verdictOf(foreign), 'other', `seed ${seed}`);
    assert.ok(foreign.difference > 0.2, `${foreign.difference}`);
  }
  assert.ok(same >= 0.88 * draws && same < draws, `${same} of ${draws}`);
});

test('a single document in one part tells of no spread, so nothing is claimed', () => {
  const model = new NgramModel(2, 2);
  model.learn([0, 1, 0, 1]);
  const kept = costOf(model, [
    [0, 1],
    [1, 0],
  ]);
  assert.equal(verdictOf(shiftOf(kept, costOf(model, [[1, 1, 1]]))[1]), 'unknown');
  assert.equal(new Surprise(model).results, null);
});
