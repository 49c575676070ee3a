// Four float32 at once. Plain operations only, each rounded by IEEE 754, so every processor agrees to the last bit.
// Whoever sums many values fixes the order by their places alone.

/** Bytes of a float32, and of a vector of four. */
export const FLOAT: usize = 4;
export const VECTOR: usize = 16;

/** Functions of four lanes; a static method is what may carry `@inline` and be TypeScript too. */
export class v4 {
  /**
   * a·b + c, each rounded; where relaxed instructions are enabled perhaps rounded once, as the processor likes it
   * (WebAssembly's relaxed SIMD proposal): the same on one machine, not on all.
   */
  @inline
  static madd(a: v128, b: v128, c: v128): v128 {
    if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
    else return f32x4.add(f32x4.mul(a, b), c);
  }

  /**
   * eˣ to 2 units in the last place, for x ≤ 88; 0 below −87.3. Cody & Waite's reduction to |r| ≤ ln 2 / 2, then the
   * minimax polynomial of Moshier's Cephes library (expf). Adding 1.5·2²³ rounds to an integer and leaves it in the
   * low bits, from where a shift adds it to the polynomial's exponent. Constants cost more than arithmetic: V8 makes
   * them anew in each turn of a loop, so loops take four vectors a turn and load them all before they store.
   */
  @inline
  static exp(x: v128): v128 {
    const shifted = v4.madd(x, f32x4.splat(1.44269504), f32x4.splat(12582912));
    const n = f32x4.sub(shifted, f32x4.splat(12582912));
    const rough = v4.madd(n, f32x4.splat(-0.693359375), x);
    const r = v4.madd(n, f32x4.splat(2.1219444e-4), rough);
    let y = v4.madd(f32x4.splat(1.98756915e-4), r, f32x4.splat(1.3981999507e-3));
    y = v4.madd(y, r, f32x4.splat(8.3334519073e-3));
    y = v4.madd(y, r, f32x4.splat(4.1665795894e-2));
    y = v4.madd(y, r, f32x4.splat(1.6666665459e-1));
    y = v4.madd(y, r, f32x4.splat(5.0000001201e-1));
    y = f32x4.add(v4.madd(y, f32x4.mul(r, r), r), f32x4.splat(1));
    const power = i32x4.add(y, i32x4.shl(shifted, 23));
    return v128.andnot(power, f32x4.lt(x, f32x4.splat(-87.33654)));
  }

  /** 1 / (1 + e⁻ˣ), through e^−|x|, which cannot overflow. */
  @inline
  static sigmoid(x: v128): v128 {
    const e = v4.exp(v128.or(x, f32x4.splat(-0.0)));
    // e^−|x| ≤ 1: the greater of the two is 1 where x ≥ 0.
    const numerator = f32x4.pmax(v128.andnot(f32x4.splat(1), i32x4.shr_s(x, 31)), e);
    return f32x4.div(numerator, f32x4.add(f32x4.splat(1), e));
  }

  /**
   * Φ(x), the normal distribution function. erfc by the Chebyshev fit of Press et al., "Numerical Recipes" 6.2
   * (`erfcc`), whose relative error is below 1.2·10⁻⁷ everywhere.
   */
  @inline
  static normalDistribution(x: v128): v128 {
    const z = f32x4.mul(f32x4.abs(x), f32x4.splat(0.70710678));
    const t = f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), f32x4.mul(f32x4.splat(0.5), z)));
    let y = f32x4.add(f32x4.mul(t, f32x4.splat(0.17087277)), f32x4.splat(-0.82215223));
    y = f32x4.add(f32x4.mul(y, t), f32x4.splat(1.48851587));
    y = f32x4.add(f32x4.mul(y, t), f32x4.splat(-1.13520398));
    y = f32x4.add(f32x4.mul(y, t), f32x4.splat(0.27886807));
    y = f32x4.add(f32x4.mul(y, t), f32x4.splat(-0.18628806));
    y = f32x4.add(f32x4.mul(y, t), f32x4.splat(0.09678418));
    y = f32x4.add(f32x4.mul(y, t), f32x4.splat(0.37409196));
    y = f32x4.add(f32x4.mul(y, t), f32x4.splat(1.00002368));
    y = f32x4.sub(f32x4.add(f32x4.mul(y, t), f32x4.splat(-1.26551223)), f32x4.mul(z, z));
    const tail = f32x4.mul(f32x4.mul(f32x4.splat(0.5), t), v4.exp(y));
    return v128.bitselect(tail, f32x4.sub(f32x4.splat(1), tail), f32x4.lt(x, f32x4.splat(0)));
  }

  /** The sum of the four lanes, in pairs. */
  @inline
  static sum(x: v128): f32 {
    const pairs = f32x4.add(x, v128.shuffle<f32>(x, x, 1, 0, 3, 2));
    return f32x4.extract_lane(pairs, 0) + f32x4.extract_lane(pairs, 2);
  }

  @inline
  static max(x: v128): f32 {
    const pairs = f32x4.max(x, v128.shuffle<f32>(x, x, 1, 0, 3, 2));
    return max(f32x4.extract_lane(pairs, 0), f32x4.extract_lane(pairs, 2));
  }
}

/** The first `count` (0 … 4) floats at `from`; the other lanes are `fill`. Reads no byte beyond them. */
export function loadPart(from: usize, count: i32, fill: f32): v128 {
  let x = f32x4.splat(fill);
  if (count > 0) x = v128.load_lane<f32>(from, x, 0);
  if (count > 1) x = v128.load_lane<f32>(from, x, 1, 4);
  if (count > 2) x = v128.load_lane<f32>(from, x, 2, 8);
  if (count > 3) x = v128.load_lane<f32>(from, x, 3, 12);
  return x;
}

/** Writes the first `count` lanes, at most four. */
export function storePart(to: usize, count: i32, x: v128): void {
  if (count > 0) v128.store_lane<f32>(to, x, 0);
  if (count > 1) v128.store_lane<f32>(to, x, 1, 4);
  if (count > 2) v128.store_lane<f32>(to, x, 2, 8);
  if (count > 3) v128.store_lane<f32>(to, x, 3, 12);
}
