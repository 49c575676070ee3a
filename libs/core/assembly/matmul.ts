import { FLOAT, loadPart, storePart, VECTOR, v4 } from './vector';

// The matrix product after Goto & van de Geijn 2008: both factors are copied, block by block, into panels that the
// innermost loop reads in order, and that loop keeps a tile of the result in registers. The copies take any
// strides, so a transposed factor costs nothing more. Sizes decide the order of every sum, nothing else does.

/** The tile in registers. */
const ROWS = 4;
const COLUMNS = 8;
/** Blocks: a packed block of the right factor stays in the second-level cache, its panels in the first. */
const DEPTH = 384;
const WIDTH = 384;
const HEIGHT = 64;

/** Packed blocks lie below the arena. */
const LEFT: usize = (__heap_base + 63) & ~63;
const RIGHT: usize = LEFT + usize(HEIGHT * DEPTH) * FLOAT;
/** A tile's buffer, and the bytes of its row. */
const EDGE: usize = RIGHT + usize(DEPTH * WIDTH) * FLOAT;
const EDGE_STEP: usize = usize(COLUMNS) * FLOAT;

/** The first byte that is free for tensors. */
export function arenaBase(): usize {
  return EDGE + usize(ROWS) * EDGE_STEP;
}

/**
 * c [n,m] = from + a [n,k] · b [k,m]; strides count floats. `from` = 0 stands for zeros; with `fromRow` = 0 it is a
 * row, a bias for instance, that is added to each; it may be c itself.
 */
export function matmul(
  n: i32,
  m: i32,
  k: i32,
  a: usize,
  aRow: i32,
  aColumn: i32,
  b: usize,
  bRow: i32,
  bColumn: i32,
  c: usize,
  cRow: i32,
  from: usize,
  fromRow: i32,
): void {
  if (n < ROWS && aColumn == 1 && (bRow == 1 || bColumn == 1)) {
    for (let i = 0; i < n; i++) {
      const start: usize = from == 0 ? 0 : from + usize(i * fromRow) * FLOAT;
      const row = a + usize(i * aRow) * FLOAT;
      const to = c + usize(i * cRow) * FLOAT;
      if (bColumn == 1) rowTimesRows(m, k, row, b, bRow, to, start);
      else rowTimesColumns(m, k, row, b, bColumn, to, start);
    }
    return;
  }
  for (let j = 0; j < m; j += WIDTH) {
    const width = min(WIDTH, m - j);
    for (let p = 0; p < k || p == 0; p += DEPTH) {
      const depth = min(DEPTH, k - p);
      const right = b + usize(p * bRow + j * bColumn) * FLOAT;
      pack(RIGHT, COLUMNS, right, bColumn, bRow, width, depth);
      const start = p > 0 ? c : from;
      const startRow = p > 0 ? cRow : fromRow;
      for (let i = 0; i < n; i += HEIGHT) {
        const height = min(HEIGHT, n - i);
        pack(LEFT, ROWS, a + usize(i * aRow + p * aColumn) * FLOAT, aRow, aColumn, height, depth);
        const to = c + usize(i * cRow + j) * FLOAT;
        block(
          height,
          width,
          depth,
          to,
          cRow,
          start == 0 ? 0 : start + usize(i * startRow + j) * FLOAT,
          startRow,
        );
      }
    }
  }
}

/** Copies `lanes` × depth values into panels of `panel` lanes, filled up with zeros. */
function pack(to: usize, panel: i32, from: usize, lane: i32, step: i32, lanes: i32, depth: i32): void {
  for (let first = 0; first < lanes; first += panel) {
    for (let part = 0; part < panel; part += 4) {
      const source = from + usize((first + part) * lane) * FLOAT;
      const here = max(0, min(4, lanes - first - part));
      packFour(to + usize(part) * FLOAT, usize(panel) * FLOAT, source, lane, step, here, depth);
    }
    to += usize(panel * depth) * FLOAT;
  }
}

/** `depth` vectors of up to four lanes, `toStep` bytes apart. */
function packFour(to: usize, toStep: usize, from: usize, lane: i32, step: i32, lanes: i32, depth: i32): void {
  let p = 0;
  if (lanes == 4 && lane == 1) {
    const fromStep = usize(step) * FLOAT;
    for (; p < depth; p++) {
      v128.store(to, v128.load(from));
      to += toStep;
      from += fromStep;
    }
    return;
  }
  const second = from + usize(lane) * FLOAT;
  const third = second + usize(lane) * FLOAT;
  const fourth = third + usize(lane) * FLOAT;
  let at: usize = 0;
  if (lanes == 4 && step == 1) {
    for (; p + 4 <= depth; p += 4) {
      const x = v128.load(from + at);
      const y = v128.load(second + at);
      const z = v128.load(third + at);
      const w = v128.load(fourth + at);
      const xy = v128.shuffle<f32>(x, y, 0, 4, 1, 5);
      const zw = v128.shuffle<f32>(z, w, 0, 4, 1, 5);
      const xyHigh = v128.shuffle<f32>(x, y, 2, 6, 3, 7);
      const zwHigh = v128.shuffle<f32>(z, w, 2, 6, 3, 7);
      v128.store(to, v128.shuffle<f64>(xy, zw, 0, 2));
      v128.store(to + toStep, v128.shuffle<f64>(xy, zw, 1, 3));
      v128.store(to + 2 * toStep, v128.shuffle<f64>(xyHigh, zwHigh, 0, 2));
      v128.store(to + 3 * toStep, v128.shuffle<f64>(xyHigh, zwHigh, 1, 3));
      to += 4 * toStep;
      at += VECTOR;
    }
  }
  const fromStep = usize(step) * FLOAT;
  for (; p < depth; p++) {
    let x = f32x4.splat(0);
    if (lanes > 0) x = v128.load_lane<f32>(from + at, x, 0);
    if (lanes > 1) x = v128.load_lane<f32>(second + at, x, 1);
    if (lanes > 2) x = v128.load_lane<f32>(third + at, x, 2);
    if (lanes > 3) x = v128.load_lane<f32>(fourth + at, x, 3);
    v128.store(to, x);
    to += toStep;
    at += fromStep;
  }
}

/** The packed blocks' product, tile by tile; a tile that hangs over the edge goes through a buffer. */
function block(height: i32, width: i32, depth: i32, c: usize, cRow: i32, from: usize, fromRow: i32): void {
  const cStep = usize(cRow) * FLOAT;
  const fromStep = usize(fromRow) * FLOAT;
  for (let j = 0; j < width; j += COLUMNS) {
    const right = RIGHT + usize(j * depth) * FLOAT;
    const columns = min(COLUMNS, width - j);
    for (let i = 0; i < height; i += ROWS) {
      const left = LEFT + usize(i * depth) * FLOAT;
      const rows = min(ROWS, height - i);
      const to = c + usize(i) * cStep + usize(j) * FLOAT;
      const start: usize = from == 0 ? 0 : from + usize(i) * fromStep + usize(j) * FLOAT;
      if (rows == ROWS && columns == COLUMNS) {
        tile(depth, left, right, to, cStep, start, fromStep);
        continue;
      }
      if (start != 0) copyTile(EDGE, EDGE_STEP, start, fromStep, rows, columns);
      tile(depth, left, right, EDGE, EDGE_STEP, start == 0 ? 0 : EDGE, EDGE_STEP);
      copyTile(to, cStep, EDGE, EDGE_STEP, rows, columns);
    }
  }
}

function copyTile(to: usize, toStep: usize, from: usize, fromStep: usize, rows: i32, columns: i32): void {
  for (let i = 0; i < rows; i++) {
    const target = to + usize(i) * toStep;
    const source = from + usize(i) * fromStep;
    for (let j: usize = 0; j < usize(columns) * FLOAT; j += FLOAT)
      store<f32>(target + j, load<f32>(source + j));
  }
}

/** 4 × 8 results in eight registers; strides in bytes. */
function tile(depth: i32, a: usize, b: usize, c: usize, cStep: usize, from: usize, fromStep: usize): void {
  let c0 = f32x4.splat(0);
  let c1 = c0;
  let c2 = c0;
  let c3 = c0;
  let d0 = c0;
  let d1 = c0;
  let d2 = c0;
  let d3 = c0;
  if (from != 0) {
    c0 = v128.load(from);
    d0 = v128.load(from, 16);
    c1 = v128.load(from + fromStep);
    d1 = v128.load(from + fromStep, 16);
    c2 = v128.load(from + 2 * fromStep);
    d2 = v128.load(from + 2 * fromStep, 16);
    c3 = v128.load(from + 3 * fromStep);
    d3 = v128.load(from + 3 * fromStep, 16);
  }
  for (let p = depth; p > 0; p--) {
    const left = v128.load(b);
    const right = v128.load(b, 16);
    const a0 = v128.load32_splat(a);
    c0 = f32x4.add(c0, f32x4.mul(a0, left));
    d0 = f32x4.add(d0, f32x4.mul(a0, right));
    const a1 = v128.load32_splat(a, 4);
    c1 = f32x4.add(c1, f32x4.mul(a1, left));
    d1 = f32x4.add(d1, f32x4.mul(a1, right));
    const a2 = v128.load32_splat(a, 8);
    c2 = f32x4.add(c2, f32x4.mul(a2, left));
    d2 = f32x4.add(d2, f32x4.mul(a2, right));
    const a3 = v128.load32_splat(a, 12);
    c3 = f32x4.add(c3, f32x4.mul(a3, left));
    d3 = f32x4.add(d3, f32x4.mul(a3, right));
    a += usize(ROWS) * FLOAT;
    b += usize(COLUMNS) * FLOAT;
  }
  v128.store(c, c0);
  v128.store(c, d0, 16);
  v128.store(c + cStep, c1);
  v128.store(c + cStep, d1, 16);
  v128.store(c + 2 * cStep, c2);
  v128.store(c + 2 * cStep, d2, 16);
  v128.store(c + 3 * cStep, c3);
  v128.store(c + 3 * cStep, d3, 16);
}

// One row times a matrix reads each weight once: packing would only add to that. Text generation lives here.

/** c [m] = from + Σ a[p] · b[p,:], four rows of b at a time, so that each is read in one piece. */
function rowTimesRows(m: i32, k: i32, a: usize, b: usize, bRow: i32, c: usize, from: usize): void {
  const bytes = usize(m) * FLOAT;
  const step = usize(bRow) * FLOAT;
  if (from == 0) memory.fill(c, 0, bytes);
  else if (from != c) memory.copy(c, from, bytes);
  for (let p = 0; p < k; p += 4) {
    // Beyond the last row stands the last one again, times 0.
    const x = loadPart(a, min(4, k - p), 0);
    const x0 = v128.shuffle<f32>(x, x, 0, 0, 0, 0);
    const x1 = v128.shuffle<f32>(x, x, 1, 1, 1, 1);
    const x2 = v128.shuffle<f32>(x, x, 2, 2, 2, 2);
    const x3 = v128.shuffle<f32>(x, x, 3, 3, 3, 3);
    const b1 = p + 1 < k ? b + step : b;
    const b2 = p + 2 < k ? b1 + step : b1;
    const b3 = p + 3 < k ? b2 + step : b2;
    let j: usize = 0;
    for (; j + VECTOR <= bytes; j += VECTOR) {
      let sum = f32x4.add(v128.load(c + j), f32x4.mul(x0, v128.load(b + j)));
      sum = f32x4.add(sum, f32x4.mul(x1, v128.load(b1 + j)));
      sum = f32x4.add(sum, f32x4.mul(x2, v128.load(b2 + j)));
      v128.store(c + j, f32x4.add(sum, f32x4.mul(x3, v128.load(b3 + j))));
    }
    for (; j < bytes; j += FLOAT) {
      let sum = load<f32>(c + j) + f32x4.extract_lane(x, 0) * load<f32>(b + j);
      sum += f32x4.extract_lane(x, 1) * load<f32>(b1 + j);
      sum += f32x4.extract_lane(x, 2) * load<f32>(b2 + j);
      store<f32>(c + j, sum + f32x4.extract_lane(x, 3) * load<f32>(b3 + j));
    }
    a += VECTOR;
    b = b3 + step;
  }
}

/** c [m] = from + a · each column of b, which lies in one piece. */
function rowTimesColumns(m: i32, k: i32, a: usize, b: usize, bColumn: i32, c: usize, from: usize): void {
  for (let j = 0; j < m; j++) {
    const column = b + usize(j * bColumn) * FLOAT;
    let s0 = f32x4.splat(0);
    let s1 = s0;
    let s2 = s0;
    let s3 = s0;
    let p = 0;
    for (; p + 16 <= k; p += 16) {
      const at = usize(p) * FLOAT;
      s0 = f32x4.add(s0, f32x4.mul(v128.load(a + at), v128.load(column + at)));
      s1 = f32x4.add(s1, f32x4.mul(v128.load(a + at, 16), v128.load(column + at, 16)));
      s2 = f32x4.add(s2, f32x4.mul(v128.load(a + at, 32), v128.load(column + at, 32)));
      s3 = f32x4.add(s3, f32x4.mul(v128.load(a + at, 48), v128.load(column + at, 48)));
    }
    for (; p < k; p += 4) {
      const at = usize(p) * FLOAT;
      const count = min(4, k - p);
      s0 = f32x4.add(s0, f32x4.mul(loadPart(a + at, count, 0), loadPart(column + at, count, 0)));
    }
    const sum = v4.sum(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)));
    const at = usize(j) * FLOAT;
    store<f32>(c + at, sum + (from == 0 ? 0 : load<f32>(from + at)));
  }
}

/** out [m] = the sum of the rows of x [n,m], in order: a bias' gradient. */
export function sumRows(n: i32, m: i32, x: usize, out: usize): void {
  memory.fill(out, 0, usize(m) * FLOAT);
  for (let i = 0; i < n; i++) {
    const row = x + usize(i * m) * FLOAT;
    let j: usize = 0;
    const end = usize(m) * FLOAT;
    for (; j + VECTOR <= end; j += VECTOR) {
      v128.store(out + j, f32x4.add(v128.load(out + j), v128.load(row + j)));
    }
    for (; j < end; j += FLOAT) store<f32>(out + j, load<f32>(out + j) + load<f32>(row + j));
  }
}
