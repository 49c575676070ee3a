import { COLUMNS, LINE, PANEL, ROWS, tile } from './tile';
import { FLOAT, v4 } from './vector';

// A block of attention's scores lies turned over: a line for each key, a lane for each query. So the softmax needs
// no sum across lanes, and both products that follow read their left factor in place.

/** Queries in a block: whole panels, whole tiles. */
export const QUERIES = ROWS * COLUMNS;
/** Lines behind the last key which tiles may write or read as zeros. */
export const BEYOND = ROWS + COLUMNS;

/**
 * to [keys, QUERIES] = keys · queries, both packed; the queries are those from time `t` on. Tiles all of whose keys
 * come after their queries are left out.
 */
export function scores(to: usize, keys: usize, queries: usize, size: i32, t: i32, rows: i32): void {
  const panel = usize(size) * PANEL;
  for (let key = 0; key < t + rows; key += ROWS) {
    const left = keys + usize(key * size) * FLOAT;
    const line = to + usize(key) * LINE;
    for (let p = max(0, key - t) / COLUMNS; p * COLUMNS < rows; p++) {
      tile(size, left, usize(ROWS) * FLOAT, queries + usize(p) * panel, line + usize(p) * PANEL, LINE, 0, 0);
    }
  }
}

/** The lanes of four queries, of which the first sees the keys up to `first`, that see `key` too. */
function seeing(key: i32, first: i32): v128 {
  return i32x4.ge_s(i32x4(0, 1, 2, 3), i32x4.splat(key - first));
}

/**
 * Turns the scores of four queries into weights that sum to 1, and into 0 up to the line `end` for keys after them.
 * The first sees the keys up to `first`. Returns their log-sum-exp. Each sum is that of four lanes which take the
 * keys in turn, as if the scores lay row by row.
 */
export function softmaxOfFour(column: usize, first: i32, end: i32, scale: f32): v128 {
  const scales = f32x4.splat(scale);
  const count = first + 4;
  for (let key = first + 1; key < count; key++) {
    const at = column + usize(key) * LINE;
    v128.store(at, v128.bitselect(v128.load(at), f32x4.splat(-f32.MAX_VALUE), seeing(key, first)));
  }
  let most = f32x4.splat(-f32.MAX_VALUE);
  let other = most;
  const stop = column + usize(count & ~3) * LINE;
  const last = column + usize(count) * LINE;
  let at = column;
  for (; at < stop; at += 4 * LINE) {
    most = f32x4.pmax(f32x4.pmax(most, v128.load(at)), v128.load(at, 2 * LINE));
    other = f32x4.pmax(f32x4.pmax(other, v128.load(at, LINE)), v128.load(at, 3 * LINE));
  }
  for (; at < last; at += LINE) most = f32x4.pmax(most, v128.load(at));
  const greatest = f32x4.mul(f32x4.pmax(most, other), scales);

  let t0 = f32x4.splat(0);
  let t1 = t0;
  let t2 = t0;
  let t3 = t0;
  for (at = column; at < stop; at += 4 * LINE) {
    const s0 = v128.load(at);
    const s1 = v128.load(at, LINE);
    const s2 = v128.load(at, 2 * LINE);
    const s3 = v128.load(at, 3 * LINE);
    const w0 = v4.exp(f32x4.sub(f32x4.mul(s0, scales), greatest));
    const w1 = v4.exp(f32x4.sub(f32x4.mul(s1, scales), greatest));
    const w2 = v4.exp(f32x4.sub(f32x4.mul(s2, scales), greatest));
    const w3 = v4.exp(f32x4.sub(f32x4.mul(s3, scales), greatest));
    t0 = f32x4.add(t0, w0);
    t1 = f32x4.add(t1, w1);
    t2 = f32x4.add(t2, w2);
    t3 = f32x4.add(t3, w3);
    v128.store(at, w0);
    v128.store(at, w1, LINE);
    v128.store(at, w2, 2 * LINE);
    v128.store(at, w3, 3 * LINE);
  }
  for (let lane = 0; at < last; at += LINE, lane++) {
    const weight = v4.exp(f32x4.sub(f32x4.mul(v128.load(at), scales), greatest));
    v128.store(at, weight);
    if (lane == 0) t0 = f32x4.add(t0, weight);
    else if (lane == 1) t1 = f32x4.add(t1, weight);
    else t2 = f32x4.add(t2, weight);
  }
  const total = f32x4.add(f32x4.add(t0, t1), f32x4.add(t2, t3));
  const inverse = f32x4.div(f32x4.splat(1), total);
  for (at = column; at < last; at += LINE) v128.store(at, f32x4.mul(v128.load(at), inverse));
  for (; at < column + usize(end) * LINE; at += LINE) v128.store(at, f32x4.splat(0));

  let logs = f32x4.splat(f32(NativeMath.log(f64(f32x4.extract_lane(total, 0)))));
  logs = f32x4.replace_lane(logs, 1, f32(NativeMath.log(f64(f32x4.extract_lane(total, 1)))));
  logs = f32x4.replace_lane(logs, 2, f32(NativeMath.log(f64(f32x4.extract_lane(total, 2)))));
  logs = f32x4.replace_lane(logs, 3, f32(NativeMath.log(f64(f32x4.extract_lane(total, 3)))));
  return f32x4.add(greatest, logs);
}

/**
 * The scores of four queries become weights again, and the slopes of the weights those of the scores:
 * p·(dp − shift)·scale. Places as in `softmaxOfFour`.
 */
export function softmaxOfFourBackward(
  column: usize,
  slopes: usize,
  first: i32,
  end: i32,
  scale: f32,
  logSumExp: v128,
  shift: v128,
): void {
  const scales = f32x4.splat(scale);
  const count = first + 4;
  let key = 0;
  for (; key + 2 <= first + 1; key += 2) {
    const at = usize(key) * LINE;
    const s0 = v128.load(column + at);
    const s1 = v128.load(column + at, LINE);
    const d0 = v128.load(slopes + at);
    const d1 = v128.load(slopes + at, LINE);
    const w0 = v4.exp(f32x4.sub(f32x4.mul(s0, scales), logSumExp));
    const w1 = v4.exp(f32x4.sub(f32x4.mul(s1, scales), logSumExp));
    v128.store(column + at, w0);
    v128.store(column + at, w1, LINE);
    v128.store(slopes + at, f32x4.mul(f32x4.mul(w0, f32x4.sub(d0, shift)), scales));
    v128.store(slopes + at, f32x4.mul(f32x4.mul(w1, f32x4.sub(d1, shift)), scales), LINE);
  }
  for (; key < count; key++) {
    const at = usize(key) * LINE;
    const seen = seeing(key, first);
    const weight = v4.exp(f32x4.sub(f32x4.mul(v128.load(column + at), scales), logSumExp));
    const slope = f32x4.mul(f32x4.mul(weight, f32x4.sub(v128.load(slopes + at), shift)), scales);
    v128.store(column + at, v128.and(weight, seen));
    v128.store(slopes + at, v128.and(slope, seen));
  }
  for (; key < end; key++) {
    v128.store(column + usize(key) * LINE, f32x4.splat(0));
    v128.store(slopes + usize(key) * LINE, f32x4.splat(0));
  }
}
