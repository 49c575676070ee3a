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

export function add(a: usize, b: usize, out: usize, bytes: usize): void {
  for (let i: usize = 0; i < bytes; i += VECTOR) {
    v128.store(out + i, f32x4.add(v128.load(a + i), v128.load(b + i)));
  }
}

/** target += x; `bytes` need not be whole vectors. */
export function accumulate(target: usize, x: usize, bytes: usize): void {
  let i: usize = 0;
  for (; i + VECTOR <= bytes; i += VECTOR) {
    v128.store(target + i, f32x4.add(v128.load(target + i), v128.load(x + i)));
  }
  for (; i < bytes; i += FLOAT) store<f32>(target + i, load<f32>(target + i) + load<f32>(x + i));
}

/** Philox4x32-10 with the key (seed, step) and the counters (i, microBatch, layer, DROPOUT): see numeric/dropout. */
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
  for (let i: usize = 0; i < bytes; i += VECTOR) {
    let c0 = u32(i / VECTOR);
    let c1 = microBatch;
    let c2 = layer;
    let c3 = purpose;
    let k0 = seed;
    let k1 = step;
    for (let round = 0; round < 10; round++) {
      const p0 = u64(c0) * 0xd2511f53;
      const p1 = u64(c2) * 0xcd9e8d57;
      c0 = u32(p1 >> 32) ^ c1 ^ k0;
      c1 = u32(p1);
      c2 = u32(p0 >> 32) ^ c3 ^ k1;
      c3 = u32(p0);
      k0 += 0x9e3779b9;
      k1 += 0xbb67ae85;
    }
    const words = i32x4.replace_lane(
      i32x4.replace_lane(i32x4.replace_lane(i32x4.splat(c0), 1, c1), 2, c2),
      3,
      c3,
    );
    const kept = i32x4.ge_u(words, i32x4.splat(threshold));
    v128.store(out + i, v128.and(f32x4.mul(v128.load(x + i), f32x4.splat(scale)), kept));
  }
}
