import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Workbench } from './workbench.js';

/** n orthonormal vectors of length n: the reflection I − 2vvᵀ/vᵀv. */
function reflection(v: readonly number[]): number[][] {
  const square = v.reduce((sum, x) => sum + x * x, 0);
  return v.map((x, i) => v.map((y, j) => (i === j ? 1 : 0) - (2 * x * y) / square));
}

/** Σ s[k]·u[k]·v[k]ᵀ, row-major: a matrix whose singular values are known. */
function compose(u: readonly number[][], s: readonly number[], v: readonly number[][]): Float64Array {
  const [rows, columns] = [u[0].length, v[0].length];
  const matrix = new Float64Array(rows * columns);
  for (const [k, value] of s.entries()) {
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) matrix[i * columns + j] += value * u[k][i] * v[k][j];
    }
  }
  return matrix;
}

const direction = (length: number) =>
  fc.array(fc.double({ min: 0.1, max: 1, noNaN: true }), { minLength: length, maxLength: length });

const known = fc
  .tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }))
  .chain(([rows, columns]) => {
    const rank = Math.min(rows, columns);
    const values = fc.array(fc.double({ min: 0.05, max: 1, noNaN: true }), {
      minLength: rank,
      maxLength: rank,
    });
    return fc.record({
      u: direction(rows).map(reflection),
      s: values,
      v: direction(columns).map(reflection),
      size: fc.constantFrom(1e-3, 1, 1e6),
    });
  });

const bench = new Workbench();

/** X ← aX + (bA + cA²)X with A = XXᵀ, every sum in order, of the transpose where the matrix is tall. */
function textbook(matrix: Float64Array, rows: number, columns: number): Float64Array {
  const tall = rows > columns;
  const [short, long] = tall ? [columns, rows] : [rows, columns];
  const place = (i: number, k: number) => (tall ? k * columns + i : i * columns + k);
  const x = matrix.slice();
  let squares = 0;
  for (let i = 0; i < short; i++) for (let k = 0; k < long; k++) squares += x[place(i, k)] ** 2;
  const scale = 1 / (Math.sqrt(squares) + 1e-7);
  for (let i = 0; i < x.length; i++) x[i] *= scale;
  const product = (length: number, depth: number, term: (i: number, j: number, k: number) => number) => {
    const out = new Float64Array(short * length);
    for (let i = 0; i < short; i++) {
      for (let j = 0; j < length; j++) {
        let sum = 0;
        for (let k = 0; k < depth; k++) sum += term(i, j, k);
        out[i * length + j] = sum;
      }
    }
    return out;
  };
  for (let step = 0; step < 5; step++) {
    const gram = product(short, long, (i, j, k) => x[place(i, k)] * x[place(j, k)]);
    const square = product(short, short, (i, j, k) => gram[i * short + k] * gram[j * short + k]);
    const polynomial = gram.map((value, i) => -4.775 * value + 2.0315 * square[i]);
    const move = product(long, short, (i, j, k) => polynomial[i * short + k] * x[place(k, j)]);
    for (let i = 0; i < short; i++) {
      for (let j = 0; j < long; j++) x[place(i, j)] = 3.4445 * x[place(i, j)] + move[i * long + j];
    }
  }
  return x;
}

describe('Newton–Schulz', () => {
  it('keeps the singular vectors and takes each singular value through the same polynomial, to near 1', () => {
    fc.assert(
      fc.property(known, ({ u, s, v, size }) => {
        const [rows, columns] = [u.length, v.length];
        const matrix = compose(
          u,
          s.map((value) => value * size),
          v,
        );
        bench.orthogonalize(matrix, rows, columns);
        const norm = Math.hypot(...s) + 1e-7 / size;
        const expected = s.map((value) => {
          let x = value / norm;
          for (let i = 0; i < 5; i++) x = 3.4445 * x - 4.775 * x ** 3 + 2.0315 * x ** 5;
          return x;
        });
        for (const value of expected) assert.ok(value > 0.65 && value < 1.25, `singular value ${value}`);
        const target = compose(u, expected, v);
        for (const [i, value] of matrix.entries()) assert.ok(Math.abs(value - target[i]) < 1e-9);
      }),
    );
  });

  it('keeps the order of additions of the textbook: the same bits, whatever the tiles', () => {
    const side = fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constantFrom(127, 128, 129, 131, 257, 300));
    fc.assert(
      fc.property(side, side, fc.nat(), (rows, columns, salt) => {
        let state = salt;
        const matrix = Float64Array.from({ length: rows * columns }, () => {
          state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
          return state / 2 ** 31 - 1;
        });
        const expected = textbook(matrix, rows, columns);
        bench.orthogonalize(matrix, rows, columns);
        assert.deepEqual(matrix, expected);
      }),
      {
        numRuns: 40,
        examples: [
          [300, 257, 1],
          [129, 300, 2],
        ],
      },
    );
  });

  it('refuses a matrix that its memory cannot hold', () => {
    assert.throws(() => bench.orthogonalize(new Float64Array(0), 2 ** 14, 2 ** 14), {
      name: 'RangeError',
      message: /16384 × 16384 is too large for muon/,
    });
  });

  it('leaves nothing of nothing', () => {
    const matrix = new Float64Array(12);
    bench.orthogonalize(matrix, 3, 4);
    assert.deepEqual(matrix, new Float64Array(12));
  });
});
