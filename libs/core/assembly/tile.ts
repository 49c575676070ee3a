import { FLOAT, v4 } from './vector';

/** Results that stay in registers: ten vectors of them, two of the right factor, one of the left and a product fit sixteen. */
export const ROWS = 5;
export const COLUMNS = 8;
/** Bytes of a row of a packed panel of COLUMNS. */
export const PANEL: usize = usize(COLUMNS) * FLOAT;
/** Bytes of a line of ROWS panels. */
export const LINE: usize = usize(ROWS) * PANEL;

/**
 * c [ROWS, COLUMNS] = from + a [ROWS, depth] · b [depth, COLUMNS], each sum in order of depth; strides in bytes.
 * a is a packed panel or like one, its rows side by side; b is a packed panel; `from` = 0 stands for zeros and may be c.
 */
export function tile(
  depth: i32,
  a: usize,
  aStep: usize,
  b: usize,
  c: usize,
  cStep: usize,
  from: usize,
  fromStep: usize,
): void {
  rows.times(FLOAT, depth, a, aStep, b, c, cStep, from, fromStep);
}

/** The same in place, for rows of a that lie LINE apart. */
export function tileOfLines(depth: i32, a: usize, b: usize, c: usize, cStep: usize): void {
  rows.times(LINE, depth, a, FLOAT, b, c, cStep, c, cStep);
}

/** What both have in common: the distance of a's rows must be a constant, since V8 computes any other anew in each turn. */
class rows {
  @inline
  static times(
    aRow: usize,
    depth: i32,
    a: usize,
    aStep: usize,
    b: usize,
    c: usize,
    cStep: usize,
    from: usize,
    fromStep: usize,
  ): void {
    let c0 = f32x4.splat(0);
    let c1 = c0;
    let c2 = c0;
    let c3 = c0;
    let c4 = c0;
    let d0 = c0;
    let d1 = c0;
    let d2 = c0;
    let d3 = c0;
    let d4 = c0;
    if (from != 0) {
      c0 = v128.load(from);
      d0 = v128.load(from, 16);
      c1 = v128.load(from + fromStep);
      d1 = v128.load(from + fromStep, 16);
      c2 = v128.load(from + 2 * fromStep);
      d2 = v128.load(from + 2 * fromStep, 16);
      c3 = v128.load(from + 3 * fromStep);
      d3 = v128.load(from + 3 * fromStep, 16);
      c4 = v128.load(from + 4 * fromStep);
      d4 = v128.load(from + 4 * fromStep, 16);
    }
    for (let p = depth; p > 0; p--) {
      const left = v128.load(b);
      const right = v128.load(b, 16);
      const a0 = v128.load32_splat(a);
      c0 = v4.madd(a0, left, c0);
      d0 = v4.madd(a0, right, d0);
      const a1 = v128.load32_splat(a + aRow);
      c1 = v4.madd(a1, left, c1);
      d1 = v4.madd(a1, right, d1);
      const a2 = v128.load32_splat(a + 2 * aRow);
      c2 = v4.madd(a2, left, c2);
      d2 = v4.madd(a2, right, d2);
      const a3 = v128.load32_splat(a + 3 * aRow);
      c3 = v4.madd(a3, left, c3);
      d3 = v4.madd(a3, right, d3);
      const a4 = v128.load32_splat(a + 4 * aRow);
      c4 = v4.madd(a4, left, c4);
      d4 = v4.madd(a4, right, d4);
      a += aStep;
      b += PANEL;
    }
    v128.store(c, c0);
    v128.store(c, d0, 16);
    c += cStep;
    v128.store(c, c1);
    v128.store(c, d1, 16);
    c += cStep;
    v128.store(c, c2);
    v128.store(c, d2, 16);
    c += cStep;
    v128.store(c, c3);
    v128.store(c, d3, 16);
    c += cStep;
    v128.store(c, c4);
    v128.store(c, d4, 16);
  }
}
