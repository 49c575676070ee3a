import { FLOAT, VECTOR, v4 } from './vector';

// A block of attention's scores as a product leaves it: a row for each query, a column for each key. For products
// that are computed elsewhere; `columns` is a multiple of four, so that every row begins on a vector.

/**
 * Turns each row's scores into weights that sum to 1, row i over its first `first` + i + 1 keys, and the rest into
 * zeros. sums [rows] receives the log-sum-exp of the scaled scores.
 */
export function softmaxRows(
  scores: usize,
  rows: i32,
  columns: i32,
  first: i32,
  scale: f32,
  sums: usize,
): void {
  const bytes = usize(columns) * FLOAT;
  const scales = f32x4.splat(scale);
  for (let i = 0; i < rows; i++) {
    const count = min(first + i + 1, columns);
    const last = scores + usize((count + 3) & ~3) * FLOAT;
    for (let at = scores + usize(count) * FLOAT; at < last; at += FLOAT) store<f32>(at, -f32.MAX_VALUE);
    let most = v128.load(scores);
    for (let at = scores + VECTOR; at < last; at += VECTOR) most = f32x4.pmax(most, v128.load(at));
    const greatest = v4.max(most) * scale;
    const shift = f32x4.splat(greatest);
    let t0 = f32x4.splat(0);
    let t1 = t0;
    let at = scores;
    for (; at + 4 * VECTOR <= last; at += 4 * VECTOR) {
      const s0 = v128.load(at);
      const s1 = v128.load(at, VECTOR);
      const s2 = v128.load(at, 2 * VECTOR);
      const s3 = v128.load(at, 3 * VECTOR);
      const w0 = v4.exp(f32x4.sub(f32x4.mul(s0, scales), shift));
      const w1 = v4.exp(f32x4.sub(f32x4.mul(s1, scales), shift));
      const w2 = v4.exp(f32x4.sub(f32x4.mul(s2, scales), shift));
      const w3 = v4.exp(f32x4.sub(f32x4.mul(s3, scales), shift));
      t0 = f32x4.add(t0, f32x4.add(w0, w2));
      t1 = f32x4.add(t1, f32x4.add(w1, w3));
      v128.store(at, w0);
      v128.store(at, w1, VECTOR);
      v128.store(at, w2, 2 * VECTOR);
      v128.store(at, w3, 3 * VECTOR);
    }
    for (; at < last; at += VECTOR) {
      const weight = v4.exp(f32x4.sub(f32x4.mul(v128.load(at), scales), shift));
      t0 = f32x4.add(t0, weight);
      v128.store(at, weight);
    }
    const sum = v4.sum(f32x4.add(t0, t1));
    const inverse = f32x4.splat(1 / sum);
    for (let at = scores; at < last; at += VECTOR) v128.store(at, f32x4.mul(v128.load(at), inverse));
    memory.fill(last, 0, scores + bytes - last);
    store<f32>(sums, greatest + f32(NativeMath.log(f64(sum))));
    scores += bytes;
    sums += FLOAT;
  }
}

/**
 * Scores become weights again, and the slopes of the weights those of the scores: p·(dp − shift)·scale, where shift is
 * a row's dot product of gradient and output, [rows, size] each, `step` floats from row to row. Places as in `softmaxRows`.
 */
export function softmaxRowsBackward(
  scores: usize,
  slopes: usize,
  rows: i32,
  columns: i32,
  first: i32,
  scale: f32,
  sums: usize,
  gradient: usize,
  out: usize,
  step: i32,
  size: i32,
): void {
  const bytes = usize(columns) * FLOAT;
  const scales = f32x4.splat(scale);
  for (let i = 0; i < rows; i++) {
    const count = min(first + i + 1, columns);
    const last = usize((count + 3) & ~3) * FLOAT;
    for (let at = usize(count) * FLOAT; at < last; at += FLOAT) store<f32>(scores + at, -f32.MAX_VALUE);
    const sum = f32x4.splat(load<f32>(sums));
    const shift = f32x4.splat(dot(gradient, out, size));
    let at: usize = 0;
    for (; at + 4 * VECTOR <= last; at += 4 * VECTOR) {
      const row = scores + at;
      const slope = slopes + at;
      const s0 = v128.load(row);
      const s1 = v128.load(row, VECTOR);
      const s2 = v128.load(row, 2 * VECTOR);
      const s3 = v128.load(row, 3 * VECTOR);
      const d0 = f32x4.sub(v128.load(slope), shift);
      const d1 = f32x4.sub(v128.load(slope, VECTOR), shift);
      const d2 = f32x4.sub(v128.load(slope, 2 * VECTOR), shift);
      const d3 = f32x4.sub(v128.load(slope, 3 * VECTOR), shift);
      const w0 = v4.exp(f32x4.sub(f32x4.mul(s0, scales), sum));
      const w1 = v4.exp(f32x4.sub(f32x4.mul(s1, scales), sum));
      const w2 = v4.exp(f32x4.sub(f32x4.mul(s2, scales), sum));
      const w3 = v4.exp(f32x4.sub(f32x4.mul(s3, scales), sum));
      v128.store(row, w0);
      v128.store(row, w1, VECTOR);
      v128.store(row, w2, 2 * VECTOR);
      v128.store(row, w3, 3 * VECTOR);
      v128.store(slope, f32x4.mul(f32x4.mul(w0, d0), scales));
      v128.store(slope, f32x4.mul(f32x4.mul(w1, d1), scales), VECTOR);
      v128.store(slope, f32x4.mul(f32x4.mul(w2, d2), scales), 2 * VECTOR);
      v128.store(slope, f32x4.mul(f32x4.mul(w3, d3), scales), 3 * VECTOR);
    }
    for (; at < last; at += VECTOR) {
      const weight = v4.exp(f32x4.sub(f32x4.mul(v128.load(scores + at), scales), sum));
      const slope = f32x4.sub(v128.load(slopes + at), shift);
      v128.store(scores + at, weight);
      v128.store(slopes + at, f32x4.mul(f32x4.mul(weight, slope), scales));
    }
    memory.fill(scores + last, 0, bytes - last);
    memory.fill(slopes + last, 0, bytes - last);
    scores += bytes;
    slopes += bytes;
    sums += FLOAT;
    gradient += usize(step) * FLOAT;
    out += usize(step) * FLOAT;
  }
}

function dot(a: usize, b: usize, size: i32): f32 {
  let total = f32x4.splat(0);
  let i: usize = 0;
  const end = usize(size) * FLOAT;
  for (; i + VECTOR <= end; i += VECTOR) total = v4.madd(v128.load(a + i), v128.load(b + i), total);
  let sum = v4.sum(total);
  for (; i < end; i += FLOAT) sum += load<f32>(a + i) * load<f32>(b + i);
  return sum;
}
