import { FLOAT, loadPart, VECTOR, v4 } from './vector';

/** Fewer rows than this go one by one: the order of their sums differs from a tile's. */
export const FEW = 4;

// One row times a matrix reads each weight once: packing would only add to that. Text generation lives here.

/**
 * c [m] = from + Σ a[p] · b[p,:], one row of b after the other: where they lie side by side, memory is read in one
 * stream, which is worth more than sparing c, in the first-level cache, its loads and stores.
 */
export function rowTimesRows(m: i32, k: i32, a: usize, b: usize, bRow: i32, c: usize, from: usize): void {
  const bytes = usize(m) * FLOAT;
  const step = usize(bRow) * FLOAT;
  if (from == 0) memory.fill(c, 0, bytes);
  else if (from != c) memory.copy(c, from, bytes);
  for (let p = 0; p < k; p++) {
    const x = v128.load32_splat(a);
    let j: usize = 0;
    for (; j + 4 * VECTOR <= bytes; j += 4 * VECTOR) {
      const to = c + j;
      const row = b + j;
      v128.store(to, v4.madd(x, v128.load(row), v128.load(to)));
      v128.store(to, v4.madd(x, v128.load(row, 16), v128.load(to, 16)), 16);
      v128.store(to, v4.madd(x, v128.load(row, 32), v128.load(to, 32)), 32);
      v128.store(to, v4.madd(x, v128.load(row, 48), v128.load(to, 48)), 48);
    }
    for (; j < bytes; j += FLOAT) store<f32>(c + j, load<f32>(c + j) + load<f32>(a) * load<f32>(b + j));
    a += FLOAT;
    b += step;
  }
}

/** c [m] = from + a · each column of b, which lies in one piece. */
export function rowTimesColumns(
  m: i32,
  k: i32,
  a: usize,
  b: usize,
  bColumn: i32,
  c: usize,
  from: usize,
): void {
  for (let j = 0; j < m; j++) {
    const at = usize(j) * FLOAT;
    const sum = lanes.dot(k, a, b + usize(j * bColumn) * FLOAT);
    store<f32>(c + at, sum + (from == 0 ? 0 : load<f32>(from + at)));
  }
}

/** Sixteen lanes; inlined, since a head is short. */
export class lanes {
  /** Σ a[p]·b[p] */
  @inline
  static dot(k: i32, a: usize, b: usize): f32 {
    let s0 = f32x4.splat(0);
    let s1 = s0;
    let s2 = s0;
    let s3 = s0;
    let p = 0;
    for (; p + 16 <= k; p += 16) {
      s0 = v4.madd(v128.load(a), v128.load(b), s0);
      s1 = v4.madd(v128.load(a, 16), v128.load(b, 16), s1);
      s2 = v4.madd(v128.load(a, 32), v128.load(b, 32), s2);
      s3 = v4.madd(v128.load(a, 48), v128.load(b, 48), s3);
      a += 4 * VECTOR;
      b += 4 * VECTOR;
    }
    for (; p < k; p += 4) {
      const count = min(4, k - p);
      s0 = v4.madd(loadPart(a, count, 0), loadPart(b, count, 0), s0);
      a += VECTOR;
      b += VECTOR;
    }
    return v4.sum(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)));
  }
}
