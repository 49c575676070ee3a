import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  dropoutMask,
  dropoutScale,
  dropoutThreshold,
  fillNormal,
  math,
  philox,
  randomStream,
  sha256,
  words,
} from './index.js';

describe('philox', () => {
  // The known answers that come with Random123, the authors' own implementation (kat_vectors, philox4x32 10).
  const answers = [
    { key: [0, 0], counter: [0, 0, 0, 0], block: [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8] },
    {
      key: [0xffffffff, 0xffffffff],
      counter: [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      block: [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    },
    {
      key: [0xa4093822, 0x299f31d0],
      counter: [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      block: [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    },
  ] as const;
  for (const { key, counter, block } of answers) {
    test(`answers ${counter.map((word) => word.toString(16))} as its authors do`, () => {
      const result = new Uint32Array(4);
      philox(key, counter, result);
      assert.deepEqual([...result], block);
    });
  }

  test('words takes a seed apart without loss and refuses what is no seed', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (seed) => {
        const [low, high] = words(seed);
        assert.equal(high * 2 ** 32 + low, seed);
      }),
    );
    for (const seed of [-1, 0.5, Number.NaN, 2 ** 53]) assert.throws(() => words(seed), RangeError);
  });
});

describe('a random stream', () => {
  const draw = (count: number, seed: number, ...purpose: number[]) => {
    const stream = randomStream(seed, ...purpose);
    return Array.from({ length: count }, () => stream.nextUint32());
  };

  test('is a pure function of its key', () => {
    assert.deepEqual(draw(9, 5, 1, 2), draw(9, 5, 1, 2));
  });

  test('differs for every other seed, purpose and order of purposes', () => {
    const keys = [[5], [6], [5, 0], [5, 0, 0], [5, 1, 2], [5, 2, 1], [5 + 2 ** 32], [5, 2 ** 32], [5, 1]];
    const streams = keys.map(([seed, ...purpose]) => draw(4, seed, ...purpose).join());
    assert.equal(new Set(streams).size, keys.length);
  });

  test('keeps its numbers for ever: runs are resumed with them', () => {
    const stream = randomStream(1337, 1, 2);
    const numbers = [stream.nextUint32(), stream.nextFloat(), stream.nextNormal(), stream.below(1000)];
    assert.deepEqual(numbers, [3554024485, 0.5979323181813548, -2.935827238645357, 213]);
  });

  test('gives every remainder its share', () => {
    const stream = randomStream(1);
    const counts = new Array<number>(7).fill(0);
    for (let i = 0; i < 7000; i++) counts[stream.below(7)]++;
    const chiSquare = counts.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
    assert.ok(chiSquare < 22.5, `χ² = ${chiSquare}, above the 99.9th percentile of 6 degrees of freedom`);
  });

  test('stays within its bounds', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), (seed, n) => {
        const stream = randomStream(seed);
        const [integer, fraction] = [stream.below(n), stream.nextFloat()];
        assert.ok(Number.isSafeInteger(integer) && integer >= 0 && integer < n);
        assert.ok(fraction >= 0 && fraction < 1);
      }),
    );
    for (const n of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.throws(() => randomStream(1).below(n), RangeError);
    }
  });

  test('draws normal numbers with the moments of a normal distribution', () => {
    const stream = randomStream(3);
    const values = Array.from({ length: 20_000 }, () => stream.nextNormal());
    const moment = (power: number) => values.reduce((sum, x) => sum + x ** power, 0) / values.length;
    for (const [power, expected, deviation] of [
      [1, 0, 1],
      [2, 1, 1.42],
      [3, 0, 3.9],
      [4, 3, 9.8],
    ]) {
      const error = Math.abs(moment(power) - expected);
      assert.ok(error < (4 * deviation) / Math.sqrt(values.length), `moment ${power}: ${moment(power)}`);
    }
  });
});

describe('fillNormal', () => {
  test('writes what the stream of its key draws one by one, at any length and across its chunks', () => {
    const lengths = fc.oneof(fc.nat(70), fc.constantFrom(8191, 8192, 8193, 20_001));
    fc.assert(
      fc.property(
        lengths,
        fc.maxSafeNat(),
        fc.nat(200),
        fc.float({ noNaN: true }),
        (length, seed, purpose, deviation) => {
          const filled = new Float32Array(length);
          fillNormal(filled, deviation, seed, purpose);
          const stream = randomStream(seed, purpose);
          const drawn = Float32Array.from({ length }, () => deviation * stream.nextNormal());
          assert.deepEqual(filled, drawn);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("keeps the stream's bits over two million numbers", () => {
    const filled = new Float32Array(2 ** 21);
    fillNormal(filled, 1, 7);
    const stream = randomStream(7);
    assert.deepEqual(
      filled,
      filled.map(() => stream.nextNormal()),
    );
  });

  test('writes no further than its target, and refuses what is no seed', () => {
    const around = new Float32Array(12);
    fillNormal(around.subarray(3, 8), 1, 5);
    assert.deepEqual(
      [...around.entries()].filter(([, value]) => value !== 0).map(([index]) => index),
      [3, 4, 5, 6, 7],
    );
    assert.throws(() => fillNormal(around, 1, -1), RangeError);
  });
});

describe('math', () => {
  // The engine's own functions may differ from machine to machine, but only in the last bits.
  const names = ['exp', 'log', 'tanh', 'cos', 'sin'] as const;
  for (const name of names) {
    test(`${name} agrees with the engine's`, () => {
      fc.assert(
        fc.property(fc.double({ min: 1e-6, max: 700, noNaN: true }), (x) => {
          const expected = Math[name](x);
          assert.ok(Math.abs(math[name](x) - expected) <= 1e-15 * Math.max(Math.abs(expected), 0.5));
        }),
      );
    });
  }

  test("pow agrees with the engine's", () => {
    const base = fc.double({ min: 1e-3, max: 1e5, noNaN: true });
    fc.assert(
      fc.property(base, fc.double({ min: -20, max: 20, noNaN: true }), (x, y) => {
        assert.ok(Math.abs(math.pow(x, y) / x ** y - 1) < 1e-14);
      }),
    );
  });

  test('the edges of the range are where IEEE 754 has them', () => {
    assert.equal(math.exp(Number.NEGATIVE_INFINITY), 0);
    assert.equal(math.exp(710), Number.POSITIVE_INFINITY);
    assert.equal(math.log(0), Number.NEGATIVE_INFINITY);
    assert.equal(math.tanh(Number.POSITIVE_INFINITY), 1);
    assert.equal(math.erf(Number.NEGATIVE_INFINITY), -1);
    for (const f of Object.values(math)) assert.ok(Number.isNaN(f(Number.NaN, Number.NaN)));
    assert.ok(Number.isNaN(math.log(-1)));
  });

  // Abramowitz & Stegun, table 7.1, and erf(0.5), erf(3.5), erf(5) to 16 digits.
  const table = [
    [0, 0],
    [0.02, 0.0225645747],
    [0.5, 0.5204998778130465],
    [1, 0.8427007929497149],
    [1.5, 0.9661051464753108],
    [2, 0.9953222650189527],
    [3, 0.9999779095030014],
    [3.5, 0.9999992569016276],
    [5, 0.9999999999984626],
  ];
  test('erf agrees with the tables and is odd', () => {
    for (const [x, expected] of table) {
      const digits = x === 0.02 ? 1e-10 : 1e-15;
      assert.ok(Math.abs(math.erf(x) - expected) < digits, `erf(${x}) = ${math.erf(x)}`);
      assert.equal(math.erf(-x), -math.erf(x));
    }
  });
});

describe('dropout', () => {
  const place = { seed: 1, step: 2, microBatch: 3, layer: 4 };

  test('keeps each entry with the probability that it should, scaled so that the mean stays', () => {
    for (const probability of [0.1, 0.5, 0.9]) {
      const size = 40_000;
      const mask = dropoutMask(size, probability, place);
      const kept = mask.filter((factor) => factor !== 0);
      const deviation = Math.sqrt(size * probability * (1 - probability));
      assert.ok(Math.abs(kept.length - size * (1 - probability)) < 4 * deviation);
      assert.ok(kept.every((factor) => factor === dropoutScale(probability)));
    }
  });

  test('depends on every part of its place, and an entry not on how many there are', () => {
    const mask = (change: object) => dropoutMask(64, 0.5, { ...place, ...change }).join();
    const masks = [{}, { seed: 9 }, { step: 9 }, { microBatch: 9 }, { layer: 9 }].map(mask);
    assert.equal(new Set(masks).size, masks.length);
    assert.deepEqual(dropoutMask(70, 0.5, place).slice(0, 13), dropoutMask(13, 0.5, place));
  });

  test('refuses what is no probability and no place', () => {
    for (const probability of [-0.1, 1, Number.NaN])
      assert.throws(() => dropoutThreshold(probability), RangeError);
    assert.throws(() => dropoutMask(1, 0.5, { ...place, step: 2 ** 32 }), /step is 4294967296/);
  });
});

test('sha256 hashes bytes, and numbers as their little-endian bytes', () => {
  const abc = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'; // FIPS 180-2, B.1
  assert.equal(sha256(new TextEncoder().encode('abc')), abc);
  assert.equal(sha256(Float32Array.of(1)), sha256(Uint8Array.of(0, 0, 0x80, 0x3f)));
  assert.equal(sha256(Float32Array.of(0, 1).subarray(1)), sha256(Float32Array.of(1)));
});
