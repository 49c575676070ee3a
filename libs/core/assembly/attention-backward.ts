import { fewQueries, leftHead, packedHead, packedQueries, panels, scoresBytes, weighted } from './attention';
import { lanes } from './few-rows';
import { pack, unpack } from './pack';
import { QUERIES, scores, softmaxOfFourBackward } from './scores';
import { COLUMNS, LINE, PANEL, ROWS, tileOfLines } from './tile';
import { FLOAT, VECTOR, v4 } from './vector';

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
  const step = usize(width) * FLOAT;
  const outWidth = heads * size;
  const outStep = usize(outWidth) * FLOAT;
  const shared = heads / kvHeads;
  const scale = f32(1.0 / sqrt<f64>(f64(size)));
  const blocksEnd = time - fewQueries(time);

  const slopes = scratch + scoresBytes(time);
  const keyPanels = slopes + scoresBytes(time);
  const keys = keyPanels + packedHead(time, size);
  const values = keys + leftHead(time, size);
  const dKeys = values + leftHead(time, size);
  const dValues = dKeys + packedHead(time, size);
  /** The block's queries and gradients as lanes for the scores, as rows for the gradients of keys and values. */
  const queryLanes = dValues + packedHead(time, size);
  const gradientLanes = queryLanes + packedQueries(size);
  const queryRows = gradientLanes + packedQueries(size);
  const gradientRows = queryRows + packedQueries(size);
  const dQueries = gradientRows + packedQueries(size);
  const sums = dQueries + packedQueries(size);
  const shifts = sums + LINE;

  const keyPanel = usize(time) * PANEL;
  const dPanel = usize(time + ROWS) * PANEL;
  for (let b = 0; b < batch; b++) {
    const sequence = usize(b * time) * step;
    for (let h = 0; h < heads; h++) {
      const query = sequence + usize(h * size) * FLOAT;
      const key = sequence + usize((heads + h / shared) * size) * FLOAT;
      const value = key + usize(kvHeads * size) * FLOAT;
      if (h % shared == 0) {
        pack(keyPanels, COLUMNS, qkv + key, 1, width, size, time);
        pack(keys, ROWS, qkv + key, width, 1, blocksEnd, size);
        pack(values, ROWS, qkv + value, width, 1, blocksEnd, size);
        memory.fill(dKeys, 0, 2 * packedHead(time, size));
      }
      for (let t = 0; t < time; ) {
        const rows = t < blocksEnd ? min(QUERIES, blocksEnd - t) : time - t;
        const q = qkv + query + usize(t) * step;
        const block = usize(b * time + t) * outStep + usize(h * size) * FLOAT;
        const g = gradient + block;
        if (t < blocksEnd) {
          pack(queryLanes, COLUMNS, q, width, 1, rows, size);
          pack(gradientLanes, COLUMNS, g, outWidth, 1, rows, size);
          scores(scratch, keys, queryLanes, size, t, rows);
          scores(slopes, values, gradientLanes, size, t, rows);
        } else {
          scoresOfFew(scratch, qkv + key, step, q, step, size, t, rows);
          scoresOfFew(slopes, qkv + value, step, g, outStep, size, t, rows);
        }
        for (let i: usize = 0; i < usize(rows); i++) {
          store<f32>(shifts + i * FLOAT, rowDot(g + i * outStep, out + block + i * outStep, size));
        }
        memory.copy(sums, logSumExp + usize((b * heads + h) * time + t) * FLOAT, usize(rows) * FLOAT);
        for (let i = 0; i < rows; i += 4) {
          const at = usize(i) * FLOAT;
          const end = t + (i & ~(COLUMNS - 1)) + COLUMNS + ROWS - 1;
          const sum = v128.load(sums + at);
          const shift = v128.load(shifts + at);
          softmaxOfFourBackward(scratch + at, slopes + at, t + i, end, scale, sum, shift);
        }
        pack(queryRows, COLUMNS, q, 1, width, size, rows);
        pack(gradientRows, COLUMNS, g, 1, outWidth, size, rows);
        addWeighted(dValues, dPanel, scratch, gradientRows, size, t, rows);
        addWeighted(dKeys, dPanel, slopes, queryRows, size, t, rows);
        weighted(dQueries, slopes, keyPanels, keyPanel, size, t, rows);
        const dq = result + query + usize(t) * step;
        unpack(dq, step, dQueries, usize(QUERIES) * PANEL, COLUMNS, size, rows);
        t += rows;
      }
      if ((h + 1) % shared == 0) {
        unpack(result + key, step, dKeys, dPanel, COLUMNS, size, time);
        unpack(result + value, step, dValues, dPanel, COLUMNS, size, time);
      }
    }
  }
}

/** `scores` of a few queries, each product summed as `matmul` does it for few rows. */
function scoresOfFew(
  to: usize,
  keys: usize,
  keyStep: usize,
  queries: usize,
  queryStep: usize,
  size: i32,
  t: i32,
  rows: i32,
): void {
  for (let key: usize = 0; key < usize(t + rows); key++) {
    for (let i: usize = 0; i < usize(rows); i++) {
      store<f32>(to + key * LINE + i * FLOAT, lanes.dot(size, queries + i * queryStep, keys + key * keyStep));
    }
  }
}

/** to, packed lines of keys += weights · packed rows of queries, for each key from its own time on */
function addWeighted(
  to: usize,
  panel: usize,
  weights: usize,
  packed: usize,
  size: i32,
  t: i32,
  rows: i32,
): void {
  for (let j = 0; j < panels(size); j++) {
    for (let key = 0; key < t + rows; key += ROWS) {
      const i = max(0, key - t);
      const lines = weights + usize(key) * LINE + usize(i) * FLOAT;
      const c = to + usize(key) * PANEL;
      const right = packed + usize(i) * PANEL;
      tileOfLines(rows - i, lines, right, c, PANEL);
    }
    to += panel;
    packed += usize(rows) * PANEL;
  }
}

function rowDot(a: usize, b: usize, size: i32): f32 {
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
