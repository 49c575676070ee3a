import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  alignedRanges,
  BufferPool,
  isAligned,
  type Range,
  sharedFloats,
  splitRange,
  TreeSum,
} from './index.js';

/** The definition, word for word: the value of node (level, i) over leaves of one number each. */
function nodeValue(leaves: readonly number[], level: number, i: number): number {
  const first = i * 2 ** level;
  if (level === 0) return leaves[first];
  const left = nodeValue(leaves, level - 1, 2 * i);
  const hasRight = (2 * i + 1) * 2 ** (level - 1) < leaves.length;
  return hasRight ? Math.fround(left + nodeValue(leaves, level - 1, 2 * i + 1)) : left;
}

const rootLevel = (total: number) => Math.ceil(Math.log2(total));
const whole = (leaves: readonly number[]) => nodeValue(leaves, rootLevel(leaves.length), 0);

function nodeSum(leaves: readonly number[], { first, count }: Range): number {
  const level = rootLevel(count);
  return nodeValue(leaves, level, first / 2 ** level);
}

/** Floats of very different sizes, where the order of addition shows in the last bits. */
const leafValues = fc.array(
  fc.tuple(fc.integer({ min: -(2 ** 23), max: 2 ** 23 }), fc.integer({ min: -20, max: 20 })),
  { minLength: 1, maxLength: 70 },
);
const leaf = ([mantissa, exponent]: [number, number]) => Math.fround(mantissa * 2 ** exponent);

/** Every node of the tree over `total`, by definition. */
function allNodes(total: number): Range[] {
  const nodes = new Map<string, Range>();
  for (let level = 0; level <= rootLevel(total); level++) {
    for (let first = 0; first < total; first += 2 ** level) {
      const count = Math.min(2 ** level, total - first);
      nodes.set(`${first}+${count}`, { first, count });
    }
  }
  return [...nodes.values()];
}

describe('the tree over micro-batches', () => {
  it('knows its nodes', () => {
    for (let total = 1; total <= 20; total++) {
      const nodes = new Set(allNodes(total).map(({ first, count }) => `${first}+${count}`));
      for (let first = -1; first <= total; first++) {
        for (let count = 0; count <= total + 1; count++) {
          assert.equal(isAligned({ first, count }, total), nodes.has(`${first}+${count}`));
        }
      }
    }
    assert.equal(isAligned({ first: 0.5, count: 1 }, 4), false);
    assert.equal(isAligned({ first: 0, count: Number.NaN }, 4), false);
  });

  it('covers an interval with the fewest nodes', () => {
    for (let total = 1; total <= 17; total++) {
      const nodes = allNodes(total);
      for (let first = 0; first <= total; first++) {
        for (let count = 0; first + count <= total; count++) {
          // fewest[k]: the fewest nodes that cover first … k−1, by dynamic programming
          const fewest = new Map([[first, 0]]);
          for (let end = first + 1; end <= first + count; end++) {
            const ways = nodes.filter((node) => node.first >= first && node.first + node.count === end);
            fewest.set(end, 1 + Math.min(...ways.map((node) => fewest.get(node.first) ?? Infinity)));
          }
          const ranges = alignedRanges(first, count, total);
          assert.equal(ranges.length, fewest.get(first + count));
          let at = first;
          for (const range of ranges) {
            assert.ok(isAligned(range, total));
            assert.equal(range.first, at);
            at += range.count;
          }
          assert.equal(at, first + count);
        }
      }
    }
    assert.throws(() => alignedRanges(3, 6, 8), RangeError);
    assert.throws(() => alignedRanges(-1, 2, 8), RangeError);
  });

  it('splits a node into pieces of nearly equal size, all aligned', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 40 }), (total, pieces) => {
        const parts = splitRange({ first: 0, count: total }, total, pieces);
        assert.equal(parts.length, Math.min(total, pieces));
        let at = 0;
        for (const part of parts) {
          assert.ok(isAligned(part, total));
          assert.equal(part.first, at);
          at += part.count;
        }
        assert.equal(at, total);
      }),
    );
    assert.deepEqual(splitRange({ first: 4, count: 3 }, 7, 2), [
      { first: 4, count: 2 },
      { first: 6, count: 1 },
    ]);
    assert.throws(() => splitRange({ first: 1, count: 2 }, 7, 2), RangeError);
  });
});

describe('TreeSum', () => {
  it('gives the same bits however the batch is divided and in whatever order the parts arrive', () => {
    const division = fc.tuple(leafValues, fc.array(fc.nat(), { maxLength: 30 }), fc.infiniteStream(fc.nat()));
    fc.assert(
      fc.property(division, ([values, cuts, random]) => {
        const leaves = values.map(leaf);
        const total = leaves.length;
        let parts: Range[] = [{ first: 0, count: total }];
        for (const cut of cuts) {
          const at = cut % parts.length;
          parts = [...parts.slice(0, at), ...splitRange(parts[at], total, 2), ...parts.slice(at + 1)];
        }
        const order = parts.map((part) => ({ part, key: random.next().value }));
        order.sort((a, b) => a.key - b.key);
        const sum = new TreeSum(total, 2);
        for (const { part } of order) {
          assert.equal(sum.complete, false);
          const value = nodeSum(leaves, part);
          sum.add(part, Float32Array.of(value, -value));
        }
        assert.ok(sum.complete);
        assert.deepEqual(sum.result(), Float32Array.of(whole(leaves), -whole(leaves)));
      }),
      { numRuns: 500 },
    );
  });

  it('gives a worker the sum of its range before the rest is there', () => {
    fc.assert(
      fc.property(leafValues, fc.nat(), (values, choice) => {
        const leaves = values.map(leaf);
        const nodes = allNodes(leaves.length);
        const range = nodes[choice % nodes.length];
        const sum = new TreeSum(leaves.length, 1);
        for (let i = range.first; i < range.first + range.count; i++) {
          sum.add({ first: i, count: 1 }, Float32Array.of(leaves[i]));
        }
        assert.deepEqual(sum.ranges, [range]);
        assert.equal(sum.partial(range)[0], nodeSum(leaves, range));
      }),
    );
  });

  it('is not a sum from left to right: the tree decides the bits', () => {
    const leaves = [1, 2 ** -24, 2 ** -24, 2 ** -24];
    assert.equal(
      leaves.reduce((sum, value) => Math.fround(sum + value)),
      1,
    );
    const sum = new TreeSum(4, 1);
    for (const [first, value] of leaves.entries()) sum.add({ first, count: 1 }, Float32Array.of(value));
    assert.equal(sum.result()[0], 1 + 2 ** -23);
  });

  it('needs at most ⌈log₂ n⌉ + 1 buffers when fed in order', () => {
    for (let total = 1; total <= 130; total++) {
      const sum = new TreeSum(total, 1);
      for (let first = 0; first < total; first++) sum.add({ first, count: 1 }, Float32Array.of(1));
      assert.equal(sum.result()[0], total);
      assert.ok(sum.mostBuffers <= rootLevel(total) + 1, `${sum.mostBuffers} buffers for ${total}`);
    }
  });

  it('refuses what overlaps or is there already, and is not harmed by the attempt', () => {
    const leaves = fc.integer({ min: 2, max: 40 });
    fc.assert(
      fc.property(leaves, fc.nat(), fc.nat(), (total, a, b) => {
        const nodes = allNodes(total);
        const [one, other] = [nodes[a % nodes.length], nodes[b % nodes.length]];
        const disjoint = one.first + one.count <= other.first || other.first + other.count <= one.first;
        fc.pre(!disjoint);
        const sum = new TreeSum(total, 1);
        sum.add(one, Float32Array.of(one.count));
        assert.throws(() => sum.add(other, Float32Array.of(other.count)), RangeError);
        for (const { first, count } of [
          ...alignedRanges(0, one.first, total),
          ...alignedRanges(one.first + one.count, total - one.first - one.count, total),
        ]) {
          sum.add({ first, count }, Float32Array.of(count));
        }
        assert.equal(sum.result()[0], total);
        assert.throws(() => sum.add(one, Float32Array.of(one.count)), RangeError);
      }),
    );
  });

  it('refuses ranges that are not nodes, gradients of another size, and a result too early', () => {
    const sum = new TreeSum(6, 2);
    assert.throws(() => sum.add({ first: 1, count: 2 }, new Float32Array(2)), /not a node/);
    assert.throws(() => sum.add({ first: 4, count: 4 }, new Float32Array(2)), /not a node/);
    assert.throws(() => sum.add({ first: 0, count: 1 }, new Float32Array(3)), /2 values, not 3/);
    assert.throws(() => sum.result(), RangeError);
    assert.throws(() => new TreeSum(0, 1), RangeError);
  });

  it('adds every entry, whatever their number', () => {
    for (const size of [1, 2, 3, 4, 5, 7, 8, 1023]) {
      const sum = new TreeSum(2, size);
      for (const first of [0, 1]) {
        sum.add(
          { first, count: 1 },
          Float32Array.from({ length: size }, (_, i) => (first + 1) * (i + 1)),
        );
      }
      assert.deepEqual(
        [...sum.result()],
        Array.from({ length: size }, (_, i) => 3 * (i + 1)),
      );
    }
  });

  it('takes its buffers where it is told to', () => {
    const pool = new BufferPool(3, sharedFloats);
    const sum = new TreeSum(1, pool);
    sum.add({ first: 0, count: 1 }, Float32Array.of(1, 2, 3));
    assert.ok(sum.result().buffer instanceof SharedArrayBuffer);
    assert.deepEqual([...sum.result()], [1, 2, 3]);
    assert.ok(new BufferPool(3).take().buffer instanceof ArrayBuffer);
  });

  it('copies what it is given and reuses its buffers in the next step', () => {
    const pool = new BufferPool(1);
    const sum = new TreeSum(4, pool);
    const scratch = new Float32Array(1);
    for (let step = 1; step <= 3; step++) {
      for (let first = 0; first < 4; first++) {
        scratch[0] = step * 10 ** first;
        sum.add({ first, count: 1 }, scratch);
      }
      assert.equal(sum.result()[0], step * 1111);
      sum.release();
      assert.equal(sum.complete, false);
    }
    const taken = [pool.take(), pool.take(), pool.take()];
    assert.equal(new Set(taken).size, 3, 'the pool never hands out one buffer twice');
    // What was used before is not zero: the two buffers of a batch of four are all that three steps needed.
    assert.deepEqual(
      taken.map(([value]) => value !== 0),
      [true, true, false],
    );
    assert.throws(() => pool.give(new Float32Array(2)), RangeError);
  });
});
