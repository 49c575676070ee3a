import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { randomStream } from '../numeric/index.js';
import { checkSampling, pickToken, type SamplingOptions } from './index.js';

const never = { nextFloat: () => assert.fail('a greedy choice draws no random number') };

/** Probability of each token, found by asking with `n` evenly spaced random numbers. */
function distribution(logits: number[], options: SamplingOptions, n = 4000): number[] {
  const counts = logits.map(() => 0);
  for (let i = 0; i < n; i++) counts[pickToken(logits, options, { nextFloat: () => (i + 0.5) / n }).id]++;
  return counts.map((count) => count / n);
}

const softmax = (scores: number[]) => {
  const exps = scores.map((score) => Math.exp(score - Math.max(...scores)));
  const total = exps.reduce((a, b) => a + b);
  return exps.map((value) => value / total);
};

/** The same by the book, as transformers' warpers do it: each sets what it cuts to −∞. */
function byTheBook(
  logits: number[],
  { temperature = 1, topK = 0, topP = 1, minP = 0 }: SamplingOptions,
): number[] {
  let scores = logits.map((logit) => logit / temperature);
  if (topK > 0) {
    const kept = [...scores].sort((a, b) => b - a)[Math.min(topK, scores.length) - 1];
    scores = scores.map((score) => (score < kept ? -Infinity : score));
  }
  if (topP < 1) {
    const ascending = scores.map((_, id) => id).sort((a, b) => scores[a] - scores[b] || b - a);
    const probabilities = softmax(scores);
    let cumulative = 0;
    for (const id of ascending.slice(0, -1)) {
      cumulative += probabilities[id];
      if (cumulative <= 1 - topP) scores[id] = -Infinity;
    }
  }
  if (minP > 0) {
    const probabilities = softmax(scores);
    const least = minP * Math.max(...probabilities);
    scores = scores.map((score, id) => (probabilities[id] < least ? -Infinity : score));
  }
  return softmax(scores);
}

test('temperature 0 takes the most likely token, the lower id of two, and draws nothing', () => {
  assert.equal(pickToken([1, 5, 3], { temperature: 0 }, never).id, 1);
  assert.equal(pickToken([2, 7, 7, 1], { temperature: 0, topK: 3, topP: 0.1 }, never).id, 1);
});

test('the log-probability is what the model said, whatever was done to pick the token', () => {
  const logits = [1, 2, 4];
  const expected = Math.log(softmax(logits)[1]);
  const options = { temperature: 0, repetitionPenalty: 100 };
  const { id, logProbability } = pickToken(logits, options, never, [2]);
  assert.equal(id, 1);
  assert.ok(Math.abs(logProbability - expected) < 1e-12);
});

test('10,000 draws from fixed seeds follow the softmax (chi-square, p > 0.001)', () => {
  const logits = [0.3, -1.2, 1.9, 0.9, -0.4, 1.1];
  for (const [seed, temperature] of [
    [1, 1],
    [2, 0.7],
    [3, 1.6],
  ]) {
    const expected = softmax(logits.map((logit) => logit / temperature));
    const counts = logits.map(() => 0);
    for (let i = 0; i < 10000; i++) counts[pickToken(logits, { temperature }, randomStream(seed, i)).id]++;
    const chiSquare = counts.reduce(
      (sum, count, id) => sum + (count - 1e4 * expected[id]) ** 2 / (1e4 * expected[id]),
      0,
    );
    assert.ok(
      chiSquare < 20.52,
      `chi-square ${chiSquare} with 5 degrees of freedom at temperature ${temperature}`,
    );
  }
});

test('top-k, top-p and min-p cut in this order and as transformers cuts', () => {
  const logit = fc.integer({ min: -60, max: 60 }).map((tenth) => tenth / 10);
  fc.assert(
    fc.property(
      fc.uniqueArray(logit, { minLength: 2, maxLength: 9 }),
      fc.record({
        temperature: fc.constantFrom(0.5, 1, 2),
        topK: fc.nat(9),
        topP: fc.constantFrom(0.13, 0.47, 0.71, 0.93, 1),
        minP: fc.constantFrom(0, 0.037, 0.23, 1),
      }),
      (logits, options) => {
        const expected = byTheBook(logits, options);
        distribution(logits, options, 1000).forEach((probability, id) => {
          assert.ok(
            Math.abs(probability - expected[id]) < 0.0021,
            `token ${id}: ${probability}, not ${expected[id]}`,
          );
        });
      },
    ),
    { numRuns: 150 },
  );
});

test('each cut leaves at least the most likely token', () => {
  assert.deepEqual(distribution([1, 2, 3], { topK: 1 }), [0, 0, 1]);
  assert.deepEqual(distribution([1, 2, 3], { topP: 1e-9 }), [0, 0, 1]);
  assert.deepEqual(distribution([1, 2, 3], { minP: 1 }), [0, 0, 1]);
});

test('tokens that tie at the edge of top-k all stay', () => {
  assert.deepEqual(
    distribution([1, 1, 1, 0], { topK: 2 }, 3000).map((p) => Math.round(p * 100)),
    [33, 33, 33, 0],
  );
});

test('of tokens that tie at the edge of top-p, the lower ids stay', () => {
  assert.deepEqual(distribution([1, 1, 1, 1, -9], { topP: 0.4 }), [0.5, 0.5, 0, 0, 0]);
});

test('a repetition penalty makes a seen token less likely, whichever sign its logit has, once however often it was seen', () => {
  const penalised = (logit: number) => {
    const seen = Math.exp(logit < 0 ? logit * 2 : logit / 2);
    return seen / (seen + 1);
  };
  for (const logit of [1.5, -1.5]) {
    const counts = [0, 0];
    for (let i = 0; i < 2000; i++) {
      counts[
        pickToken([logit, 0], { repetitionPenalty: 2 }, { nextFloat: () => (i + 0.5) / 2000 }, [0, 0, 0]).id
      ]++;
    }
    assert.ok(Math.abs(counts[0] / 2000 - penalised(logit)) < 0.001);
  }
});

test('the largest random number still picks a token', () => {
  assert.equal(pickToken([0, 0, 0], {}, { nextFloat: () => 1 - 2 ** -53 }).id, 2);
});

test('logits that are not finite are told, not sampled', () => {
  for (const bad of [Number.NaN, Infinity, -Infinity]) {
    assert.throws(() => pickToken([0, bad], {}, never), { name: 'RunError', message: /not finite/ });
  }
});

test('options out of bounds are refused by their names', () => {
  const refused: [SamplingOptions, RegExp][] = [
    [{ temperature: -1 }, /^temperature is -1, but must be a number from 0 to 100\.$/],
    [{ temperature: Number.NaN }, /^temperature is NaN/],
    [{ topK: 1.5 }, /^top-k is 1\.5/],
    [{ topP: 0 }, /^top-p is 0, but must be a number above 0 and at most 1\.$/],
    [{ topP: 1.1 }, /^top-p is 1\.1/],
    [{ minP: -0.1 }, /^min-p is -0\.1/],
    [{ repetitionPenalty: 0 }, /^repetition-penalty is 0/],
  ];
  for (const [options, message] of refused)
    assert.throws(() => checkSampling(options), { name: 'UserError', message });
  checkSampling({ temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 });
});
