/*
 * The 32 dark squares as the bits of one int32: bit n is square n + 1 of the published numbering, which begins on
 * Black's side, whose men move towards higher numbers.
 *
 *      .  1  .  2  .  3  .  4      rows 0, 2, 4, 6: squares lie in the odd columns
 *      5  .  6  .  7  .  8  .      rows 1, 3, 5, 7: in the even ones
 *      …
 *      29 .  30 .  31 .  32 .      row 7, White's side
 */

/** A set of squares. Signed, as JavaScript's bitwise operators leave it. */
export type Squares = number;

export const SQUARES = 32;

export const EVEN_ROWS = 0x0f0f0f0f;
const ODD_ROWS = ~EVEN_ROWS;
/** Without the squares at the right edge (4, 12, 20, 28), and without those at the left (5, 13, 21, 29). */
const EVEN_ROWS_INNER = 0x07070707;
const ODD_ROWS_INNER = 0xe0e0e0e0 | 0;

/** The squares one step away in each of the four directions; what would leave the board is gone. */
export const shift: readonly ((squares: Squares) => Squares)[] = [
  (squares) => ((squares & EVEN_ROWS) << 4) | ((squares & ODD_ROWS_INNER) << 3), // down and left
  (squares) => ((squares & EVEN_ROWS_INNER) << 5) | ((squares & ODD_ROWS) << 4), // down and right
  (squares) => ((squares & EVEN_ROWS) >>> 4) | ((squares & ODD_ROWS_INNER) >>> 5), // up and left
  (squares) => ((squares & EVEN_ROWS_INNER) >>> 3) | ((squares & ODD_ROWS) >>> 4), // up and right
];

/** A direction is its place in `shift`; this is the way back. */
export function opposite(direction: number): number {
  return 3 - direction;
}

export function bit(square: number): Squares {
  return 1 << square;
}

/** The lowest square of a set that is not empty, from 0. */
export function lowest(squares: Squares): number {
  return 31 - Math.clz32(squares & -squares);
}

/** How many squares a set has (Warren, Hacker's Delight, 5-1). */
export function count(squares: Squares): number {
  const pairs = squares - ((squares >>> 1) & 0x55555555);
  const fours = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333);
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** The board turned by half a turn: square n becomes 33 − n (Hacker's Delight, 7-1). */
export function turned(squares: Squares): Squares {
  let bits = squares;
  bits = ((bits >>> 1) & 0x55555555) | ((bits & 0x55555555) << 1);
  bits = ((bits >>> 2) & 0x33333333) | ((bits & 0x33333333) << 2);
  bits = ((bits >>> 4) & 0x0f0f0f0f) | ((bits & 0x0f0f0f0f) << 4);
  bits = ((bits >>> 8) & 0x00ff00ff) | ((bits & 0x00ff00ff) << 8);
  return (bits >>> 16) | (bits << 16);
}

/** The squares of a set, from 0, in order. */
export function listed(squares: Squares): number[] {
  const list: number[] = [];
  for (let left = squares; left !== 0; left &= left - 1) list.push(lowest(left));
  return list;
}
