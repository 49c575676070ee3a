import { FLOAT, VECTOR, v4 } from './vector';

// One value in, one out. Tensors are padded to whole vectors, so `bytes` is a multiple of 16.

class gated {
  /** 2√(2/π)·(x + 0.044715 x³): since (1 + tanh u)/2 = sigmoid(2u), GELU's tanh approximation is x·sigmoid of this. */
  @inline
  static argument(x: v128): v128 {
    const square = f32x4.mul(x, x);
    const inner = v4.madd(f32x4.splat(0.044715), square, f32x4.splat(1));
    return f32x4.mul(f32x4.mul(f32x4.splat(1.5957691216), x), inner);
  }

  @inline
  static geluTanh(x: v128): v128 {
    return f32x4.mul(x, v4.sigmoid(gated.argument(x)));
  }

  @inline
  static geluTanhSlope(x: v128): v128 {
    const inner = f32x4.mul(f32x4.splat(0.134145), f32x4.mul(x, x));
    const slope = f32x4.mul(f32x4.splat(1.5957691216), f32x4.add(f32x4.splat(1), inner));
    return gated.slope(x, v4.sigmoid(gated.argument(x)), slope);
  }

  /** The slope of x·sigmoid(u(x)): s + x·s·(1−s)·u′ */
  @inline
  static slope(x: v128, s: v128, slope: v128): v128 {
    const rest = f32x4.mul(f32x4.mul(s, f32x4.sub(f32x4.splat(1), s)), slope);
    return v4.madd(x, rest, s);
  }
}

export function geluTanh(x: usize, out: usize, bytes: usize): void {
  let i: usize = 0;
  for (; i + 4 * VECTOR <= bytes; i += 4 * VECTOR) {
    const x0 = v128.load(x + i);
    const x1 = v128.load(x + i, 16);
    const x2 = v128.load(x + i, 32);
    const x3 = v128.load(x + i, 48);
    v128.store(out + i, gated.geluTanh(x0));
    v128.store(out + i, gated.geluTanh(x1), 16);
    v128.store(out + i, gated.geluTanh(x2), 32);
    v128.store(out + i, gated.geluTanh(x3), 48);
  }
  for (; i < bytes; i += VECTOR) v128.store(out + i, gated.geluTanh(v128.load(x + i)));
}

export function geluTanhBackward(g: usize, x: usize, out: usize, bytes: usize): void {
  let i: usize = 0;
  for (; i + 4 * VECTOR <= bytes; i += 4 * VECTOR) {
    const x0 = v128.load(x + i);
    const x1 = v128.load(x + i, 16);
    const x2 = v128.load(x + i, 32);
    const x3 = v128.load(x + i, 48);
    const g0 = v128.load(g + i);
    const g1 = v128.load(g + i, 16);
    const g2 = v128.load(g + i, 32);
    const g3 = v128.load(g + i, 48);
    v128.store(out + i, f32x4.mul(g0, gated.geluTanhSlope(x0)));
    v128.store(out + i, f32x4.mul(g1, gated.geluTanhSlope(x1)), 16);
    v128.store(out + i, f32x4.mul(g2, gated.geluTanhSlope(x2)), 32);
    v128.store(out + i, f32x4.mul(g3, gated.geluTanhSlope(x3)), 48);
  }
  for (; i < bytes; i += VECTOR) {
    v128.store(out + i, f32x4.mul(v128.load(g + i), gated.geluTanhSlope(v128.load(x + i))));
  }
}

export function gelu(x: usize, out: usize, bytes: usize): void {
  for (let i: usize = 0; i < bytes; i += VECTOR) {
    const value = v128.load(x + i);
    v128.store(out + i, f32x4.mul(value, v4.normalDistribution(value)));
  }
}

/** Φ(x) + x·φ(x) */
export function geluBackward(g: usize, x: usize, out: usize, bytes: usize): void {
  for (let i: usize = 0; i < bytes; i += VECTOR) {
    const value = v128.load(x + i);
    const density = f32x4.mul(
      f32x4.splat(0.3989422804),
      v4.exp(f32x4.mul(f32x4.splat(-0.5), f32x4.mul(value, value))),
    );
    const slope = f32x4.add(v4.normalDistribution(value), f32x4.mul(value, density));
    v128.store(out + i, f32x4.mul(v128.load(g + i), slope));
  }
}

export function silu(x: usize, out: usize, bytes: usize): void {
  for (let i: usize = 0; i < bytes; i += VECTOR) {
    const value = v128.load(x + i);
    v128.store(out + i, f32x4.mul(value, v4.sigmoid(value)));
  }
}

export function siluBackward(g: usize, x: usize, out: usize, bytes: usize): void {
  for (let i: usize = 0; i < bytes; i += VECTOR) {
    const value = v128.load(x + i);
    v128.store(out + i, f32x4.mul(v128.load(g + i), gated.slope(value, v4.sigmoid(value), f32x4.splat(1))));
  }
}

export function swiglu(gate: usize, up: usize, out: usize, bytes: usize): void {
  for (let i: usize = 0; i < bytes; i += VECTOR) {
    const value = v128.load(gate + i);
    v128.store(out + i, f32x4.mul(f32x4.mul(value, v4.sigmoid(value)), v128.load(up + i)));
  }
}

export function swigluBackward(
  g: usize,
  gate: usize,
  up: usize,
  dgate: usize,
  dup: usize,
  bytes: usize,
): void {
  for (let i: usize = 0; i < bytes; i += VECTOR) {
    const gradient = v128.load(g + i);
    const value = v128.load(gate + i);
    const s = v4.sigmoid(value);
    const slope = gated.slope(value, s, f32x4.splat(1));
    v128.store(dgate + i, f32x4.mul(f32x4.mul(gradient, v128.load(up + i)), slope));
    v128.store(dup + i, f32x4.mul(gradient, f32x4.mul(value, s)));
  }
}

/** out = a + b; `bytes` need not be whole vectors. */
export function add(a: usize, b: usize, out: usize, bytes: usize): void {
  let i: usize = 0;
  for (; i + VECTOR <= bytes; i += VECTOR) {
    v128.store(out + i, f32x4.add(v128.load(a + i), v128.load(b + i)));
  }
  for (; i < bytes; i += FLOAT) store<f32>(out + i, load<f32>(a + i) + load<f32>(b + i));
}

/** target += x; `bytes` need not be whole vectors. */
export function accumulate(target: usize, x: usize, bytes: usize): void {
  add(target, x, target, bytes);
}

/** Bytes of the entries that share four counters. */
const COUNTERS: usize = 4 * VECTOR;

class kept {
  /** x·scale where the word is at least `threshold`, else 0. */
  @inline
  static of(x: v128, words: v128, threshold: v128, scale: v128): v128 {
    return v128.and(f32x4.mul(x, scale), i32x4.ge_u(words, threshold));
  }
}

/**
 * Philox4x32-10 with the key (seed, step) and the counters (i, microBatch, layer, purpose): see numeric/dropout. Four
 * counters at once, a lane for each; turned over, their words are those of four vectors.
 */
export function dropout(
  x: usize,
  out: usize,
  bytes: usize,
  seed: u32,
  step: u32,
  microBatch: u32,
  layer: u32,
  purpose: u32,
  threshold: u32,
  scale: f32,
): void {
  const least = i32x4.splat(threshold);
  const scales = f32x4.splat(scale);
  for (let i: usize = 0; i < bytes; i += COUNTERS) {
    let c0 = i32x4.add(i32x4.splat(i32(i / VECTOR)), i32x4(0, 1, 2, 3));
    let c1 = i32x4.splat(microBatch);
    let c2 = i32x4.splat(layer);
    let c3 = i32x4.splat(purpose);
    let k0 = seed;
    let k1 = step;
    for (let round = 0; round < 10; round++) {
      const m0 = i32x4.splat(0xd2511f53);
      const m1 = i32x4.splat(0xcd9e8d57);
      const p0 = i64x2.extmul_low_i32x4_u(c0, m0);
      const q0 = i64x2.extmul_high_i32x4_u(c0, m0);
      const p1 = i64x2.extmul_low_i32x4_u(c2, m1);
      const q1 = i64x2.extmul_high_i32x4_u(c2, m1);
      c0 = v128.xor(v128.xor(v128.shuffle<i32>(p1, q1, 1, 3, 5, 7), c1), i32x4.splat(k0));
      c1 = v128.shuffle<i32>(p1, q1, 0, 2, 4, 6);
      c2 = v128.xor(v128.xor(v128.shuffle<i32>(p0, q0, 1, 3, 5, 7), c3), i32x4.splat(k1));
      c3 = v128.shuffle<i32>(p0, q0, 0, 2, 4, 6);
      k0 += 0x9e3779b9;
      k1 += 0xbb67ae85;
    }
    const c01 = v128.shuffle<i32>(c0, c1, 0, 4, 1, 5);
    const c23 = v128.shuffle<i32>(c2, c3, 0, 4, 1, 5);
    const from = x + i;
    const to = out + i;
    const left = bytes - i;
    v128.store(to, kept.of(v128.load(from), v128.shuffle<i64>(c01, c23, 0, 2), least, scales));
    if (left <= VECTOR) return;
    v128.store(to, kept.of(v128.load(from, 16), v128.shuffle<i64>(c01, c23, 1, 3), least, scales), 16);
    if (left <= 2 * VECTOR) return;
    const d01 = v128.shuffle<i32>(c0, c1, 2, 6, 3, 7);
    const d23 = v128.shuffle<i32>(c2, c3, 2, 6, 3, 7);
    v128.store(to, kept.of(v128.load(from, 32), v128.shuffle<i64>(d01, d23, 0, 2), least, scales), 32);
    if (left <= 3 * VECTOR) return;
    v128.store(to, kept.of(v128.load(from, 48), v128.shuffle<i64>(d01, d23, 1, 3), least, scales), 48);
  }
}
