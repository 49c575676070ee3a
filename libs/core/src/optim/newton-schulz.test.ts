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

  it('leaves nothing of nothing', () => {
    const matrix = new Float64Array(12);
    bench.orthogonalize(matrix, 3, 4);
    assert.deepEqual(matrix, new Float64Array(12));
  });
});
