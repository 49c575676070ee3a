import { matmul } from './matmul';
import { FLOAT, VECTOR, v4 } from './vector';

// Attention, a block of queries at a time: their scores against all keys up to the last of them fit a buffer of
// BLOCK × T, so memory grows with T and not with its square. The gradient computes the weights again from the
// kept log-sum-exp (Dao et al. 2022).

/** Queries in a block. */
const BLOCK = 32;

/** Floats in a row of scores: whole vectors. */
function padded(keys: i32): i32 {
  return (keys + 3) & ~3;
}

/** Bytes of scratch memory for attention over `time` keys: two blocks of scores, and a number per query. */
export function attentionScratch(time: i32): usize {
  return usize(2 * BLOCK * padded(time) + BLOCK) * FLOAT;
}

/** qkv [batch·time, (heads + 2·kvHeads)·size] → out [batch·(time−first), heads·size], logSumExp [batch, heads, time−first] */
export function attention(
  qkv: usize,
  out: usize,
  logSumExp: usize,
  scratch: usize,
  batch: i32,
  time: i32,
  first: i32,
  heads: i32,
  kvHeads: i32,
  size: i32,
): void {
  const width = (heads + 2 * kvHeads) * size;
  const outWidth = heads * size;
  const queries = time - first;
  const scale = f32(1.0 / sqrt<f64>(f64(size)));
  for (let b = 0; b < batch; b++) {
    const sequence = qkv + usize(b * time * width) * FLOAT;
    for (let h = 0; h < heads; h++) {
      const group = h / (heads / kvHeads);
      const query = sequence + usize(h * size) * FLOAT;
      const key = sequence + usize((heads + group) * size) * FLOAT;
      const value = key + usize(kvHeads * size) * FLOAT;
      for (let t = first; t < time; t += BLOCK) {
        const rows = min(BLOCK, time - t);
        const keys = t + rows;
        const stride = padded(keys);
        const q = query + usize(t * width) * FLOAT;
        matmul(rows, keys, size, q, width, 1, key, 1, width, scratch, stride, 0, 0);
        const sums = logSumExp + usize((b * heads + h) * queries + t - first) * FLOAT;
        for (let i = 0; i < rows; i++) {
          const sum = softmax(scratch + usize(i * stride) * FLOAT, t + i + 1, stride, scale);
          store<f32>(sums + usize(i) * FLOAT, sum);
        }
        const to = out + usize((b * queries + t - first) * outWidth + h * size) * FLOAT;
        matmul(rows, size, keys, scratch, stride, 1, value, width, 1, to, outWidth, 0, 0);
      }
    }
  }
}

/** Turns a row's first `count` scores into weights that sum to 1 and the rest into zeros; returns the log-sum-exp. */
function softmax(row: usize, count: i32, stride: i32, scale: f32): f32 {
  const end = row + usize(stride) * FLOAT;
  const valid = row + usize(count) * FLOAT;
  const last = row + usize(padded(count)) * FLOAT;
  for (let at = valid; at < last; at += FLOAT) store<f32>(at, -f32.MAX_VALUE);
  let most = v128.load(row);
  for (let at = row + VECTOR; at < last; at += VECTOR) most = f32x4.max(most, v128.load(at));
  const greatest = v4.max(most) * scale;
  let total = f32x4.splat(0);
  for (let at = row; at < last; at += VECTOR) {
    const scaled = f32x4.mul(v128.load(at), f32x4.splat(scale));
    const weight = v4.exp(f32x4.sub(scaled, f32x4.splat(greatest)));
    total = f32x4.add(total, weight);
    v128.store(at, weight);
  }
  const sum = v4.sum(total);
  const inverse = f32x4.splat(1 / sum);
  for (let at = row; at < last; at += VECTOR) v128.store(at, f32x4.mul(v128.load(at), inverse));
  memory.fill(last, 0, end - last);
  return greatest + f32(NativeMath.log(f64(sum)));
}

/** gradient and out [batch·time, heads·size] → the gradient of qkv, written whole */
export function attentionBackward(
  gradient: usize,
  qkv: usize,
  out: usize,
  logSumExp: usize,
  result: usize,
  scratch: usize,
  batch: i32,
  time: i32,
  heads: i32,
  kvHeads: i32,
  size: i32,
): void {
  const width = (heads + 2 * kvHeads) * size;
  const outWidth = heads * size;
  const scale = f32(1.0 / sqrt<f64>(f64(size)));
  const slopes = scratch + usize(BLOCK * padded(time)) * FLOAT;
  memory.fill(result, 0, usize(batch * time * width) * FLOAT);
  for (let b = 0; b < batch; b++) {
    const sequence = usize(b * time * width) * FLOAT;
    for (let h = 0; h < heads; h++) {
      const group = h / (heads / kvHeads);
      const query = sequence + usize(h * size) * FLOAT;
      const key = sequence + usize((heads + group) * size) * FLOAT;
      const value = key + usize(kvHeads * size) * FLOAT;
      for (let t = 0; t < time; t += BLOCK) {
        const rows = min(BLOCK, time - t);
        const keys = t + rows;
        const stride = padded(keys);
        const q = query + usize(t * width) * FLOAT;
        const block = usize((b * time + t) * outWidth + h * size) * FLOAT;
        const g = gradient + block;
        matmul(rows, keys, size, qkv + q, width, 1, qkv + key, 1, width, scratch, stride, 0, 0);
        matmul(rows, keys, size, g, outWidth, 1, qkv + value, 1, width, slopes, stride, 0, 0);
        for (let i = 0; i < rows; i++) {
          const at = usize(i * outWidth) * FLOAT;
          const shift = dot(g + at, out + block + at, size);
          const sum = load<f32>(logSumExp + usize((b * heads + h) * time + t + i) * FLOAT);
          const row = usize(i * stride) * FLOAT;
          softmaxBackward(scratch + row, slopes + row, t + i + 1, stride, scale, sum, shift);
        }
        const dv = result + value;
        matmul(keys, size, rows, scratch, 1, stride, g, outWidth, 1, dv, width, dv, width);
        const dk = result + key;
        matmul(keys, size, rows, slopes, 1, stride, qkv + q, width, 1, dk, width, dk, width);
        matmul(rows, size, keys, slopes, stride, 1, qkv + key, width, 1, result + q, width, 0, 0);
      }
    }
  }
}

/** Scores become weights again, and the slopes of the weights those of the scores: p·(dp − shift)·scale. */
function softmaxBackward(
  row: usize,
  slopes: usize,
  count: i32,
  stride: i32,
  scale: f32,
  logSumExp: f32,
  shift: f32,
): void {
  const end = usize(stride) * FLOAT;
  const last = usize(padded(count)) * FLOAT;
  for (let at = usize(count) * FLOAT; at < last; at += FLOAT) {
    store<f32>(row + at, -f32.MAX_VALUE);
    store<f32>(slopes + at, 0);
  }
  for (let at: usize = 0; at < last; at += VECTOR) {
    const scaled = f32x4.mul(v128.load(row + at), f32x4.splat(scale));
    const weight = v4.exp(f32x4.sub(scaled, f32x4.splat(logSumExp)));
    const slope = f32x4.sub(v128.load(slopes + at), f32x4.splat(shift));
    v128.store(row + at, weight);
    v128.store(slopes + at, f32x4.mul(f32x4.mul(weight, slope), f32x4.splat(scale)));
  }
  memory.fill(row + last, 0, end - last);
  memory.fill(slopes + last, 0, end - last);
}

function dot(a: usize, b: usize, size: i32): f32 {
  let total = f32x4.splat(0);
  let i: usize = 0;
  const end = usize(size) * FLOAT;
  for (; i + VECTOR <= end; i += VECTOR) {
    total = f32x4.add(total, f32x4.mul(v128.load(a + i), v128.load(b + i)));
  }
  let sum = v4.sum(total);
  for (; i < end; i += FLOAT) sum += load<f32>(a + i) * load<f32>(b + i);
  return sum;
}
