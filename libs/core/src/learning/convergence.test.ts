import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { randomStream } from '../numeric/index.js';
import { type ConvergenceConfig, judgeConvergence, NgramModel, type Point, trendOf } from './index.js';

const config: ConvergenceConfig = { patience: 5, minImprovement: 0.002, beforeDecay: false };
const baselines = { uniform: 4, unigram: 3.3, bigram: 2.5 };

/** Noise of about normal shape, of standard deviation 1: the same at every call. */
function noise(seed: number): () => number {
  const random = randomStream(seed, 0, 0);
  return () => Array.from({ length: 12 }, () => random.nextFloat()).reduce((a, b) => a + b) - 6;
}

interface Curves {
  readonly train: (step: number) => number;
  readonly validation: (step: number) => number;
  /** Standard deviation of a step's training loss; of an evaluation's it is a twentieth. */
  readonly deviation?: number;
  readonly decayedFrom?: number;
  readonly steps?: number;
}

/** Follows a run with an evaluation every 20 steps, and tells at which step it ends itself; null: never. */
function endOf(
  { train, validation, deviation = 0.05, decayedFrom = 0, steps = 2000 }: Curves,
  seed = 1,
  changes: Partial<ConvergenceConfig> = {},
): number | null {
  const next = noise(seed);
  const curve: Point[] = [];
  const evaluations: Point[] = [];
  for (let step = 1; step <= steps; step++) {
    curve.push({ step, loss: train(step) + deviation * next() });
    if (step % 20 !== 0) continue;
    evaluations.push({ step, loss: validation(step) + (deviation / 20) * next() });
    const decayedAt = step >= decayedFrom ? decayedFrom : null;
    const evidence = { training: curve, validation: evaluations, baselines, decayedAt };
    if (judgeConvergence({ ...config, ...changes }, evidence).converged) return step;
  }
  return null;
}

/** Falls from 4 to `floor`, most of it by step 400. */
const fall = (floor: number) => (step: number) => floor + (4 - floor) * Math.exp(-step / 100);

test('a plateau ends the run, soon after it began', () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    const end = endOf({ train: fall(2), validation: fall(2.1) }, seed);
    assert.ok(end !== null && end > 500 && end < 1200, `seed ${seed} ended at ${end}`);
  }
});

test('a plateau before the rate has decayed ends nothing, unless told so', () => {
  // With the lower rate the loss falls once more, as it does with warm-up–stable–decay.
  const both = (floor: number) => (step: number) =>
    fall(floor)(step) - (step > 1400 ? 0.4 * (1 - Math.exp(-(step - 1400) / 80)) : 0);
  const curves = { train: both(2), validation: both(2.1), decayedFrom: 1400 };
  for (const seed of [1, 2, 3]) {
    const end = endOf(curves, seed);
    assert.ok(end === null || end > 1700, `seed ${seed} ended at ${end}`);
    const early = endOf(curves, seed, { beforeDecay: true });
    assert.ok(early !== null && early < 1200, `seed ${seed} with beforeDecay ended at ${early}`);
  }
});

test('a slow fall below the noise of a step is no plateau', () => {
  const slow = (top: number) => (step: number) => top - step / 4000;
  for (const seed of [1, 2, 3, 4, 5]) {
    assert.equal(endOf({ train: slow(3), validation: slow(3.1), deviation: 0.1 }, seed), null);
  }
});

test('noise alone, however it falls, is no improvement: the run ends', () => {
  for (const seed of [1, 2, 3]) {
    const end = endOf({ train: () => 2, validation: () => 2.1, deviation: 0.2 }, seed, {
      minImprovement: 0.03,
    });
    assert.ok(end !== null, `seed ${seed} never ended`);
  }
});

test('double descent: while the validation loss rises and the training loss falls, the run goes on to the second fall', () => {
  const train = (step: number) => 3 * Math.exp(-step / 900);
  // Falls to step 300, rises to 900, falls below the first valley after that.
  const hump = (step: number) => 2.4 + 0.5 * Math.exp(-((step - 900) ** 2) / (2 * 250 ** 2));
  const validation = (step: number) => Math.min(4, hump(step) + 1.5 * Math.exp(-step / 120) - step / 5000);
  for (const seed of [1, 2, 3]) {
    const end = endOf({ train, validation }, seed);
    assert.ok(end === null || end > 1500, `seed ${seed} ended at ${end}`);
  }
});

test('a spike neither ends a run that learns nor keeps one going that does not', () => {
  const spiked = (curve: (step: number) => number, at: number) => (step: number) =>
    curve(step) + (step >= at && step < at + 15 ? 6 : 0);
  const slow = (top: number) => (step: number) => top - step / 2000;
  const learning = { train: spiked(slow(3), 990), validation: spiked(slow(3.1), 990) };
  const idle = { train: spiked(fall(2), 560), validation: fall(2.1) };
  assert.equal(endOf(learning), null);
  const end = endOf(idle);
  assert.ok(end !== null && end < 1200, `ended at ${end}`);
});

test('a run that does no better than counting tokens is stuck, and has not converged', () => {
  assert.equal(endOf({ train: fall(3.4), validation: fall(3.4) }), null);
});

test('the trend of a line is its slope, whatever a tenth of the points is, and turns with it', () => {
  const line = fc.record({
    slope: fc.double({ min: -0.01, max: 0.01, noNaN: true }),
    wild: fc.array(fc.integer({ min: 0, max: 99 }), { maxLength: 10 }),
  });
  fc.assert(
    fc.property(line, ({ slope, wild }) => {
      const curve = Array.from({ length: 100 }, (_, step) => ({
        step,
        loss: wild.includes(step) ? 50 : 3 + slope * step,
      }));
      const trend = trendOf(curve);
      assert.ok(trend !== null && Math.abs(trend.slope - slope) < 1e-9 + wild.length * 2e-3);
      assert.ok(trend.low <= trend.slope && trend.slope <= trend.high);
    }),
  );
});

test('the interval holds the slope in about 19 of 20 curves of pure noise, also where points are averaged', () => {
  for (const length of [60, 1000]) {
    let held = 0;
    for (let seed = 0; seed < 100; seed++) {
      const next = noise(seed);
      const trend = trendOf(Array.from({ length }, (_, step) => ({ step, loss: next() })));
      if (trend !== null && trend.low <= 0 && trend.high >= 0) held += 1;
    }
    assert.ok(held >= 88 && held <= 100, `${held} of 100 with ${length} points`);
  }
});

test('the baselines are those that are counted by hand', () => {
  const model = new NgramModel(3);
  model.learn(Int32Array.of(0, 1, 0, 1, 0, 2, -1, -1));
  // Targets: 1 0 1 0 2. After 0 came 1, 1, 2; after 1 came 0, 0; after 2 nothing.
  const alone = [3 / 8, 3 / 8, 2 / 8];
  const after = (first: number, second: number) => {
    if (first === 0) return ([0, 2, 1][second] + 2 * alone[second]) / 5;
    if (first === 1) return ([2, 0, 0][second] + 1 * alone[second]) / 3;
    return alone[second];
  };
  for (const first of [0, 1, 2]) {
    assert.ok(Math.abs(after(first, 0) + after(first, 1) + after(first, 2) - 1) < 1e-12, 'probabilities');
  }
  const found = model.losses([Int32Array.of(0, 1, 2), Int32Array.of(2, 0, -1)]);
  const mean = (...shares: number[]) => -shares.reduce((sum, p) => sum + Math.log(p), 0) / shares.length;
  assert.ok(found);
  assert.ok(Math.abs(found.uniform - Math.log(3)) < 1e-12);
  assert.ok(Math.abs(found.unigram - mean(alone[1], alone[2], alone[0])) < 1e-12);
  assert.ok(Math.abs(found.bigram - mean(after(0, 1), after(1, 2), after(2, 0))) < 1e-12);
  assert.equal(model.losses([Int32Array.of(1, -1)]), null);
});
