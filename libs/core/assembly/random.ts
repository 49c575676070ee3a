// Normal random numbers in bulk, the bits of numeric/random-stream.ts. Box and Muller's sine and cosine on two angles at
// once: their branches, on random numbers, were what took the time.

const FLOAT: usize = 4;

/** The first byte that is free, aligned for vectors. */
export function arenaBase(): usize {
  return (__heap_base + 15) & ~15;
}

/**
 * Writes `count` float32 (a multiple of 4): the normal numbers of the Philox blocks low + 2³²·high and on, two each
 * (Box & Muller 1958), times `deviation`. The key is two words.
 */
export function fillNormal(
  to: usize,
  count: i32,
  key0: i32,
  key1: i32,
  low: i32,
  high: i32,
  deviation: f64,
): void {
  const scale = f64x2.splat(deviation);
  let block = (u64(u32(high)) << 32) | u64(u32(low));
  for (const end = to + usize(count) * FLOAT; to < end; to += 4 * FLOAT, block += 2) {
    philox.block(key0, key1, block);
    let u = f64x2.splat(philox.first());
    let v = f64x2.splat(philox.second());
    philox.block(key0, key1, block + 1);
    u = f64x2.replace_lane(u, 1, philox.first());
    v = f64x2.replace_lane(v, 1, philox.second());
    const logarithm = f64x2(
      NativeMath.log(1 - f64x2.extract_lane(u, 0)), // 1 − u is never 0
      NativeMath.log(1 - f64x2.extract_lane(u, 1)),
    );
    const radius = f64x2.sqrt(f64x2.mul(f64x2.splat(-2), logarithm));
    circle.point(f64x2.mul(f64x2.splat(6.283185307179586), v));
    const x = f32x4.demote_f64x2_zero(f64x2.mul(scale, f64x2.mul(radius, circle.cosine)));
    const y = f32x4.demote_f64x2_zero(f64x2.mul(scale, f64x2.mul(radius, circle.sine)));
    v128.store(to, v128.shuffle<f32>(x, y, 0, 4, 1, 5));
  }
}

/** Philox4x32-10 (Salmon et al. 2011; see numeric/philox.ts), with a counter of two words. */
class philox {
  static c0: u32 = 0;
  static c1: u32 = 0;
  static c2: u32 = 0;
  static c3: u32 = 0;

  @inline
  static block(key0: u32, key1: u32, counter: u64): void {
    let c0 = u32(counter);
    let c1 = u32(counter >> 32);
    let c2: u32 = 0;
    let c3: u32 = 0;
    for (let round = 0; round < 10; round++) {
      const product0 = u64(c0) * 0xd2511f53;
      const product1 = u64(c2) * 0xcd9e8d57;
      c0 = u32(product1 >> 32) ^ c1 ^ key0;
      c2 = u32(product0 >> 32) ^ c3 ^ key1;
      c1 = u32(product1);
      c3 = u32(product0);
      key0 += 0x9e3779b9;
      key1 += 0xbb67ae85;
    }
    philox.c0 = c0;
    philox.c1 = c1;
    philox.c2 = c2;
    philox.c3 = c3;
  }

  /** Uniform in [0, 1), a multiple of 2⁻⁵³. */
  @inline
  static first(): f64 {
    return (f64(philox.c0 >>> 5) * 67108864 + f64(philox.c1 >>> 6)) * 1.1102230246251565e-16;
  }

  @inline
  static second(): f64 {
    return (f64(philox.c2 >>> 5) * 67108864 + f64(philox.c3 >>> 6)) * 1.1102230246251565e-16;
  }
}

/**
 * Sine and cosine of two angles in [0, 2π], operation for operation what NativeMath.sin and .cos do there (musl's, after
 * Sun's fdlibm), with selections instead of branches; angles where those take a rarer path go to them.
 */
class circle {
  static sine: v128 = f64x2.splat(0);
  static cosine: v128 = f64x2.splat(0);

  static point(x: v128): void {
    // x = q·π/2 + y, |y| ≤ π/4, y in two parts; up to π/4 there is nothing to take off.
    const direct = f64x2.lt(x, circle.bits(0x3fe921fc00000000));
    const q = v128.andnot(f64x2.nearest(f64x2.mul(x, circle.bits(0x3fe45f306dc9c883))), direct);
    const rest = f64x2.sub(x, f64x2.mul(q, circle.bits(0x3ff921fb54400000)));
    const tail = f64x2.mul(q, circle.bits(0x3dd0b4611a626331));
    const y = f64x2.sub(rest, tail);
    const y1 = f64x2.sub(f64x2.sub(rest, y), tail);
    // So near an axis the subtraction needs more digits of π.
    if (v128.any_true(f64x2.lt(f64x2.abs(y), f64x2.splat(1 / 4096)))) {
      const a = f64x2.extract_lane(x, 0);
      const b = f64x2.extract_lane(x, 1);
      circle.sine = f64x2(NativeMath.sin(a), NativeMath.sin(b));
      circle.cosine = f64x2(NativeMath.cos(a), NativeMath.cos(b));
      return;
    }
    const s = circle.sineNear(y, y1, direct);
    const c = circle.cosineNear(y, y1);
    // q is in the low bits of q + 2⁵²: odd quarters swap, and halves change the sign.
    const quarter = f64x2.add(q, f64x2.splat(4503599627370496));
    const one = i64x2.splat(1);
    const two = i64x2.splat(2);
    const odd = i64x2.neg(v128.and(quarter, one));
    const sineSign = i64x2.shl(v128.and(quarter, two), 62);
    const cosineSign = i64x2.shl(v128.and(i64x2.add(quarter, one), two), 62);
    circle.sine = v128.xor(v128.bitselect(c, s, odd), sineSign);
    circle.cosine = v128.xor(v128.bitselect(s, c, odd), cosineSign);
  }

  @inline
  static sineNear(x: v128, y: v128, direct: v128): v128 {
    const z = f64x2.mul(x, x);
    const w = f64x2.mul(z, z);
    const s1 = circle.bits(0xbfc5555555555549);
    let r = f64x2.add(circle.bits(0xbf2a01a019c161d5), f64x2.mul(z, circle.bits(0x3ec71de357b1fe7d)));
    r = f64x2.add(circle.bits(0x3f8111111110f8a6), f64x2.mul(z, r));
    const far = f64x2.add(circle.bits(0xbe5ae5e68a2b9ceb), f64x2.mul(z, circle.bits(0x3de5d93a5acfd57c)));
    r = f64x2.add(r, f64x2.mul(f64x2.mul(z, w), far));
    const v = f64x2.mul(z, x);
    const plain = f64x2.add(x, f64x2.mul(v, f64x2.add(s1, f64x2.mul(z, r))));
    const inner = f64x2.mul(z, f64x2.sub(f64x2.mul(f64x2.splat(0.5), y), f64x2.mul(v, r)));
    const reduced = f64x2.sub(x, f64x2.sub(f64x2.sub(inner, y), f64x2.mul(v, s1)));
    return v128.bitselect(plain, reduced, direct);
  }

  @inline
  static cosineNear(x: v128, y: v128): v128 {
    const z = f64x2.mul(x, x);
    const w = f64x2.mul(z, z);
    let r = f64x2.add(circle.bits(0xbf56c16c16c15177), f64x2.mul(z, circle.bits(0x3efa01a019cb1590)));
    r = f64x2.mul(z, f64x2.add(circle.bits(0x3fa555555555554c), f64x2.mul(z, r)));
    let far = f64x2.add(circle.bits(0x3e21ee9ebdb4b1c4), f64x2.mul(z, circle.bits(0xbda8fae9be8838d4)));
    far = f64x2.add(circle.bits(0xbe927e4f809c52ad), f64x2.mul(z, far));
    r = f64x2.add(r, f64x2.mul(f64x2.mul(w, w), far));
    const half = f64x2.mul(f64x2.splat(0.5), z);
    const one = f64x2.splat(1);
    const first = f64x2.sub(one, half);
    const second = f64x2.sub(f64x2.mul(z, r), f64x2.mul(x, y));
    return f64x2.add(first, f64x2.add(f64x2.sub(f64x2.sub(one, first), half), second));
  }

  /** A number by its bits, in both lanes. */
  @inline
  static bits(pattern: u64): v128 {
    return f64x2.splat(reinterpret<f64>(pattern));
  }
}
