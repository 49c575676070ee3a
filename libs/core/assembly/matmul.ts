import { FEW, rowTimesColumns, rowTimesRows } from './few-rows';
import { pack } from './pack';
import { COLUMNS, PANEL, ROWS, tile } from './tile';
import { FLOAT, VECTOR } from './vector';

// The matrix product after Goto & van de Geijn 2008: both factors are copied, block by block, into panels that the
// innermost loop reads in order, and that loop keeps a tile of the result in registers. The copies take any
// strides, so a transposed factor costs nothing more. Sizes decide the order of every sum, nothing else does.

/** Blocks: a packed block of the right factor stays in the second-level cache, its panels in the first. */
const DEPTH = 384;
const WIDTH = 384;
const HEIGHT = 80;

/** Packed blocks lie below the arena. */
const LEFT: usize = (__heap_base + 63) & ~63;
const RIGHT: usize = LEFT + usize(HEIGHT * DEPTH) * FLOAT + VECTOR;
/** A tile's buffer. */
const EDGE: usize = RIGHT + usize(DEPTH * WIDTH) * FLOAT;

/** Bytes of a step of a packed left panel. */
const STEP: usize = usize(ROWS) * FLOAT;

/** The first byte that is free for tensors. */
export function arenaBase(): usize {
  return EDGE + usize(ROWS) * PANEL;
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
  if (n < FEW && aColumn == 1 && (bRow == 1 || bColumn == 1)) {
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
        tile(depth, left, STEP, right, to, cStep, start, fromStep);
        continue;
      }
      if (start != 0) copyTile(EDGE, PANEL, start, fromStep, rows, columns);
      tile(depth, left, STEP, right, EDGE, PANEL, start == 0 ? 0 : EDGE, PANEL);
      copyTile(to, cStep, EDGE, PANEL, rows, columns);
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
