// The optimisers' arithmetic, over pieces of flat arrays that TypeScript copies into a small memory. All of it in float64,
// each operation rounded by IEEE 754 and results rounded once to float32 where they are stored: what plain JavaScript
// computes, two lanes at once. Pointers are bytes; `count` floats that are odd in number need room for one more.

export { orthogonalize, scratchBytes } from './newton-schulz';

const FLOAT: usize = 4;
const DOUBLE: usize = 8;

/** The first byte that is free, aligned for vectors. */
export function arenaBase(): usize {
  return (__heap_base + 15) & ~15;
}

/**
 * Adam's moments m and v (float32, overwritten), and the direction rate·m / (√v·root + eps) in float64.
 * The gradient g is multiplied by `factor` and rounded to float32 first.
 */
export function adam(
  count: i32,
  g: usize,
  m: usize,
  v: usize,
  direction: usize,
  factor: f64,
  beta1: f64,
  beta2: f64,
  rate: f64,
  root: f64,
  eps: f64,
): void {
  const scale = f64x2.splat(factor);
  const keep1 = f64x2.splat(beta1);
  const rest1 = f64x2.splat(1 - beta1);
  const keep2 = f64x2.splat(beta2);
  const rest2 = f64x2.splat(1 - beta2);
  const rates = f64x2.splat(rate);
  const roots = f64x2.splat(root);
  const floor = f64x2.splat(eps);
  for (let i = 0; i < count; i += 2) {
    const at = usize(i) * FLOAT;
    const slope = pair.scaled(g + at, scale);
    const mean = f64x2.add(f64x2.mul(keep1, pair.load(m + at)), f64x2.mul(rest1, slope));
    const square = f64x2.add(f64x2.mul(keep2, pair.load(v + at)), f64x2.mul(f64x2.mul(rest2, slope), slope));
    pair.store(m + at, mean);
    pair.store(v + at, square);
    const size = f64x2.add(f64x2.mul(f64x2.sqrt(square), roots), floor);
    v128.store(direction + usize(i) * DOUBLE, f64x2.div(f64x2.mul(rates, mean), size));
  }
}

/**
 * A decaying sum b of gradients (float32, overwritten), and the direction in float64: the sum itself, or with `ahead`
 * Nesterov's, one step further. The gradient g is multiplied by `factor` and rounded to float32 first.
 */
export function momentum(
  count: i32,
  g: usize,
  b: usize,
  direction: usize,
  factor: f64,
  decay: f64,
  ahead: i32,
): void {
  const scale = f64x2.splat(factor);
  const keep = f64x2.splat(decay);
  const looks = i32x4.splat(ahead ? -1 : 0);
  for (let i = 0; i < count; i += 2) {
    const at = usize(i) * FLOAT;
    const slope = pair.scaled(g + at, scale);
    const velocity = f64x2.add(f64x2.mul(keep, pair.load(b + at)), slope);
    pair.store(b + at, velocity);
    const further = f64x2.add(slope, f64x2.mul(keep, velocity));
    v128.store(direction + usize(i) * DOUBLE, v128.bitselect(further, velocity, looks));
  }
}

/**
 * w ← keep·w − rate·direction, rounded to float32. Adds to the two float64 at `sums`: the squares of the changes as
 * they were stored, and of the weights before; 0: nobody wants them.
 */
export function descend(count: i32, w: usize, direction: usize, rate: f64, keep: f64, sums: usize): void {
  if (count & 1) {
    // What lies behind the last one counts as nothing.
    store<f32>(w + usize(count) * FLOAT, 0);
    store<f64>(direction + usize(count) * DOUBLE, 0);
  }
  const rates = f64x2.splat(rate);
  const keeps = f64x2.splat(keep);
  if (sums == 0) {
    for (let i = 0; i < count; i += 2) {
      const at = w + usize(i) * FLOAT;
      const step = f64x2.mul(rates, v128.load(direction + usize(i) * DOUBLE));
      pair.store(at, f64x2.sub(f64x2.mul(keeps, pair.load(at)), step));
    }
    return;
  }
  let moved = f64x2.splat(0);
  let length = f64x2.splat(0);
  for (let i = 0; i < count; i += 2) {
    const at = w + usize(i) * FLOAT;
    const before = pair.load(at);
    const step = f64x2.mul(rates, v128.load(direction + usize(i) * DOUBLE));
    const change = pair.replace(at, before, f64x2.sub(f64x2.mul(keeps, before), step));
    moved = f64x2.add(moved, f64x2.mul(change, change));
    length = f64x2.add(length, f64x2.mul(before, before));
  }
  pair.addTo(sums, moved);
  pair.addTo(sums + DOUBLE, length);
}

/** Two float32 in memory as two float64; a static method is what may carry `@inline` and be TypeScript too. */
class pair {
  @inline
  static load(from: usize): v128 {
    return f64x2.promote_low_f32x4(v128.load_zero<f64>(from));
  }

  @inline
  static store(to: usize, x: v128): void {
    v128.store_lane<f64>(to, f32x4.demote_f64x2_zero(x), 0);
  }

  /** Writes `after`, and returns by how much what was written differs from `before`. */
  @inline
  static replace(to: usize, before: v128, after: v128): v128 {
    const rounded = f32x4.demote_f64x2_zero(after);
    v128.store_lane<f64>(to, rounded, 0);
    return f64x2.sub(f64x2.promote_low_f32x4(rounded), before);
  }

  /** Adds both lanes to the float64 at `to`. */
  @inline
  static addTo(to: usize, x: v128): void {
    store<f64>(to, load<f64>(to) + (f64x2.extract_lane(x, 0) + f64x2.extract_lane(x, 1)));
  }

  /** Times `factor`, rounded to float32. */
  @inline
  static scaled(from: usize, factor: v128): v128 {
    return f64x2.promote_low_f32x4(f32x4.demote_f64x2_zero(f64x2.mul(pair.load(from), factor)));
  }
}
