import { FLOAT, VECTOR } from './vector';

/** Rows and columns of a block: its lines of both matrices, and their pages, stay in the first-level caches. */
const BLOCK = 32;

/** to [columns, rows] = from [rows, columns] turned over; both row-major, apart from each other. */
export function transpose(from: usize, to: usize, rows: i32, columns: i32): void {
  for (let i = 0; i < rows; i += BLOCK) {
    for (let j = 0; j < columns; j += BLOCK) {
      const source = from + usize(i * columns + j) * FLOAT;
      const target = to + usize(j * rows + i) * FLOAT;
      block(source, target, rows, columns, min(BLOCK, rows - i), min(BLOCK, columns - j));
    }
  }
}

/** The block's `height` × `width` values: four by four in registers, then what is left at its edges. */
function block(from: usize, to: usize, rows: i32, columns: i32, height: i32, width: i32): void {
  const fromStep = usize(columns) * FLOAT;
  const toStep = usize(rows) * FLOAT;
  const wholeHeight = height & ~3;
  const wholeWidth = width & ~3;
  for (let i = 0; i < wholeHeight; i += 4) {
    let source = from + usize(i) * fromStep;
    let target = to + usize(i) * FLOAT;
    for (let j = 0; j < wholeWidth; j += 4) {
      const x = v128.load(source);
      const y = v128.load(source + fromStep);
      const z = v128.load(source + 2 * fromStep);
      const w = v128.load(source + 3 * fromStep);
      const xy = v128.shuffle<f32>(x, y, 0, 4, 1, 5);
      const zw = v128.shuffle<f32>(z, w, 0, 4, 1, 5);
      const xyHigh = v128.shuffle<f32>(x, y, 2, 6, 3, 7);
      const zwHigh = v128.shuffle<f32>(z, w, 2, 6, 3, 7);
      v128.store(target, v128.shuffle<f64>(xy, zw, 0, 2));
      v128.store(target + toStep, v128.shuffle<f64>(xy, zw, 1, 3));
      v128.store(target + 2 * toStep, v128.shuffle<f64>(xyHigh, zwHigh, 0, 2));
      v128.store(target + 3 * toStep, v128.shuffle<f64>(xyHigh, zwHigh, 1, 3));
      source += VECTOR;
      target += 4 * toStep;
    }
  }
  turn(
    from + usize(wholeWidth) * FLOAT,
    to + usize(wholeWidth) * toStep,
    fromStep,
    toStep,
    wholeHeight,
    width - wholeWidth,
  );
  turn(
    from + usize(wholeHeight) * fromStep,
    to + usize(wholeHeight) * FLOAT,
    fromStep,
    toStep,
    height - wholeHeight,
    width,
  );
}

function turn(from: usize, to: usize, fromStep: usize, toStep: usize, height: i32, width: i32): void {
  for (let i: usize = 0; i < usize(height); i++) {
    for (let j: usize = 0; j < usize(width); j++) {
      store<f32>(to + j * toStep + i * FLOAT, load<f32>(from + i * fromStep + j * FLOAT));
    }
  }
}
