import { FEW } from './few-rows';
import { matmul } from './matmul';
import { pack, unpack } from './pack';
import { BEYOND, QUERIES, scores, softmaxOfFour } from './scores';
import { COLUMNS, LINE, PANEL, ROWS, tile } from './tile';
import { FLOAT, storePart, VECTOR, v4 } from './vector';

// Attention, a block of queries at a time: their scores against all keys up to the last of them fit a buffer of
// QUERIES × T, so memory grows with T and not with its square. The gradient computes the weights again from the
// kept log-sum-exp (Dao et al. 2022). Nothing is computed for tiles of keys that all come after their queries.

/** Whole panels of a head. */
export function panels(size: i32): i32 {
  return (size + COLUMNS - 1) / COLUMNS;
}

/** Bytes of a head's packed keys or values, with lines for a tile that hangs over. */
export function packedHead(time: i32, size: i32): usize {
  return usize(panels(size) * (time + ROWS)) * PANEL;
}

/** Bytes of the same as a left factor. */
export function leftHead(time: i32, size: i32): usize {
  return usize((time + ROWS) * size) * FLOAT;
}

/** Bytes of a block of scores. */
export function scoresBytes(time: i32): usize {
  return usize(time + BEYOND) * LINE;
}

/** Bytes of a block's packed queries. */
export function packedQueries(size: i32): usize {
  return usize(panels(size) * QUERIES) * PANEL;
}

/** Bytes of scratch memory for attention over `time` keys of `size` floats, forward or backward. */
export function attentionScratch(time: i32, size: i32): usize {
  return (
    2 * scoresBytes(time) +
    3 * packedHead(time, size) +
    2 * leftHead(time, size) +
    5 * packedQueries(size) +
    2 * LINE
  );
}

/**
 * How many of the last queries are computed as rows, whose products sum in another order. Queries were once taken
 * 32 at a time and what was left went through `matmul`, which takes fewer than FEW rows one by one: the bits stay.
 */
export function fewQueries(queries: i32): i32 {
  const left = queries % 32;
  return left < FEW ? left : 0;
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
  const step = usize((heads + 2 * kvHeads) * size) * FLOAT;
  const outStep = usize(heads * size) * FLOAT;
  const shared = heads / kvHeads;
  const queries = time - first;
  const scale = f32(1.0 / sqrt<f64>(f64(size)));
  const blocksEnd = time - fewQueries(queries);
  const keys = scratch + scoresBytes(time);
  const values = keys + leftHead(time, size);
  const packed = values + packedHead(time, size);
  for (let b = 0; b < batch; b++) {
    const sequence = qkv + usize(b * time) * step;
    for (let h = 0; h < heads; h++) {
      const query = sequence + usize(h * size) * FLOAT;
      const key = sequence + usize((heads + h / shared) * size) * FLOAT;
      const value = key + usize(kvHeads * size) * FLOAT;
      const sums = logSumExp + usize((b * heads + h) * queries) * FLOAT;
      const to = out + usize(b * queries) * outStep + usize(h * size) * FLOAT;
      if (h % shared == 0 && first < blocksEnd) {
        const width = i32(step / FLOAT);
        pack(keys, ROWS, key, width, 1, blocksEnd, size);
        pack(values, COLUMNS, value, 1, width, size, blocksEnd);
      }
      for (let t = first; t < time; ) {
        const rows = t < blocksEnd ? min(QUERIES, blocksEnd - t) : time - t;
        const q = query + usize(t) * step;
        const sum = sums + usize(t - first) * FLOAT;
        const block = to + usize(t - first) * outStep;
        if (t < blocksEnd) {
          queryBlock(
            q,
            step,
            keys,
            values,
            blocksEnd,
            scratch,
            packed,
            sum,
            block,
            outStep,
            size,
            t,
            rows,
            scale,
          );
        } else {
          queryRows(q, key, value, step, scratch, sum, block, outStep, size, t, rows, scale);
        }
        t += rows;
      }
    }
  }
}

/** A block of queries from time `t` on; keys and values are packed, `packed` is scratch memory. */
function queryBlock(
  query: usize,
  step: usize,
  keys: usize,
  values: usize,
  time: i32,
  weights: usize,
  packed: usize,
  logSumExp: usize,
  out: usize,
  outStep: usize,
  size: i32,
  t: i32,
  rows: i32,
  scale: f32,
): void {
  pack(packed, COLUMNS, query, i32(step / FLOAT), 1, rows, size);
  scores(weights, keys, packed, size, t, rows);
  for (let i = 0; i < rows; i += 4) {
    const end = t + (i & ~(COLUMNS - 1)) + COLUMNS + ROWS - 1;
    const sums = softmaxOfFour(weights + usize(i) * FLOAT, t + i, end, scale);
    storePart(logSumExp + usize(i) * FLOAT, rows - i, sums);
  }
  // The queries' place is free again.
  weighted(packed, weights, values, usize(time) * PANEL, size, t, rows);
  unpack(out, outStep, packed, usize(QUERIES) * PANEL, COLUMNS, size, rows);
}

/** to, panels of QUERIES lines = turned weights · packed rows, each query's up to itself */
export function weighted(
  to: usize,
  weights: usize,
  packed: usize,
  panel: usize,
  size: i32,
  t: i32,
  rows: i32,
): void {
  for (let j = 0; j < panels(size); j++) {
    for (let i = 0; i < rows; i += ROWS) {
      const lines = t + min(i + ROWS, rows);
      const left = weights + usize(i) * FLOAT;
      tile(lines, left, LINE, packed, to + usize(i) * PANEL, PANEL, 0, 0);
    }
    packed += panel;
    to += usize(QUERIES) * PANEL;
  }
}

/** A few queries, row by row. */
function queryRows(
  query: usize,
  key: usize,
  value: usize,
  step: usize,
  weights: usize,
  logSumExp: usize,
  out: usize,
  outStep: usize,
  size: i32,
  t: i32,
  rows: i32,
  scale: f32,
): void {
  const width = i32(step / FLOAT);
  const outWidth = i32(outStep / FLOAT);
  const keys = t + rows;
  const stride = (keys + 3) & ~3;
  matmul(rows, keys, size, query, width, 1, key, 1, width, weights, stride, 0, 0);
  for (let i = 0; i < rows; i++) {
    const sum = softmax(weights + usize(i * stride) * FLOAT, t + i + 1, stride, scale);
    store<f32>(logSumExp + usize(i) * FLOAT, sum);
  }
  matmul(rows, size, keys, weights, stride, 1, value, width, 1, out, outWidth, 0, 0);
}

/** Turns a row's first `count` scores into weights that sum to 1 and the rest into zeros; returns the log-sum-exp. */
function softmax(row: usize, count: i32, stride: i32, scale: f32): f32 {
  const end = row + usize(stride) * FLOAT;
  const valid = row + usize(count) * FLOAT;
  const last = row + usize((count + 3) & ~3) * FLOAT;
  for (let at = valid; at < last; at += FLOAT) store<f32>(at, -f32.MAX_VALUE);
  let most = v128.load(row);
  for (let at = row + VECTOR; at < last; at += VECTOR) most = f32x4.pmax(most, v128.load(at));
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
