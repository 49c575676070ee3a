/**
 * A program is the source of one gpu.js kernel: a plain function that computes one entry of its output, run for
 * every entry. gpu.js reads the text of the compiled function (`fn.toString()`), so a program takes no closure:
 * everything it uses is an argument, a constant, `Math`, or a helper that is registered with it.
 *
 * What the three modes agree on, and programs therefore keep to:
 * - a number is a float32; integers are exact below 2²⁴, so matrices are indexed [row][column], never flat;
 * - a local variable that is given an integer is a float: count with `+= 1`, not `++`, unless it starts from a
 *   literal, and divide with `Math.floor((i + 0.5) / n)`, which no rounding of a quotient can make wrong;
 * - helpers take and return numbers, not arrays.
 */
export interface Thread<Constants> {
  /** The entry to compute: `x` is the column, `y` the row, `z` the plane. */
  readonly thread: { readonly x: number; readonly y: number; readonly z: number };
  readonly constants: Constants;
}

export type Matrix = readonly (readonly number[])[];
export type Cube = readonly Matrix[];

export interface Program<Constants> {
  readonly source: (this: Thread<Constants>, ...operands: never[]) => number;
  readonly helpers: readonly Helper[];
}

/** A program whatever its constants. */
export type AnyProgram = Program<never>;

/** A function that programs call. `integers`: its arguments and result are 32-bit integers, which may wrap. */
export interface Helper {
  readonly source: (...values: number[]) => number;
  readonly integers: boolean;
}

export function program<Constants>(
  source: Program<Constants>['source'],
  ...helpers: Helper[]
): Program<Constants> {
  return { source, helpers };
}
