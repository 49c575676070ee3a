import { FLOAT, VECTOR } from './vector';

/** out [n,c] = the rows of table that the ids name */
export function embedding(table: usize, ids: usize, out: usize, n: i32, c: i32): void {
  const bytes = usize(c) * FLOAT;
  for (let row: usize = 0; row < usize(n); row++) {
    memory.copy(out + row * bytes, table + usize(load<u32>(ids + row * FLOAT)) * bytes, bytes);
  }
}

/** out [rows,c] = the sum of the rows of g [n,c] for each id, in order of n */
export function embeddingBackward(g: usize, ids: usize, out: usize, n: i32, c: i32, rows: i32): void {
  const bytes = usize(c) * FLOAT;
  memory.fill(out, 0, usize(rows) * bytes);
  for (let row: usize = 0; row < usize(n); row++) {
    const from = g + row * bytes;
    const to = out + usize(load<u32>(ids + row * FLOAT)) * bytes;
    let i: usize = 0;
    for (; i + VECTOR <= bytes; i += VECTOR) {
      v128.store(to + i, f32x4.add(v128.load(to + i), v128.load(from + i)));
    }
    for (; i < bytes; i += FLOAT) store<f32>(to + i, load<f32>(to + i) + load<f32>(from + i));
  }
}

/** Copies n pieces of `bytes` each; the strides are in bytes. */
export function copyRows(from: usize, fromStep: usize, to: usize, toStep: usize, n: i32, bytes: usize): void {
  for (let row: usize = 0; row < usize(n); row++)
    memory.copy(to + row * toStep, from + row * fromStep, bytes);
}

/**
 * Turns the pairs (i, i + half) of each head by its position's angle. The tables [positions, half] of cosines and
 * sines begin with the position `least`; `sign` is 1, or −1 to turn backwards.
 */
export function rope(
  x: usize,
  positions: usize,
  cosines: usize,
  sines: usize,
  out: usize,
  n: i32,
  heads: i32,
  half: i32,
  least: i32,
  sign: f32,
): void {
  const bytes = usize(half) * FLOAT;
  for (let row: usize = 0; row < usize(n); row++) {
    const at = usize(load<i32>(positions + row * FLOAT) - least) * bytes;
    const cosine = cosines + at;
    const sine = sines + at;
    for (let h = 0; h < heads; h++) {
      let i: usize = 0;
      for (; i + VECTOR <= bytes; i += VECTOR) {
        const low = v128.load(x + i);
        const high = v128.load(x + bytes + i);
        const c = v128.load(cosine + i);
        const s = f32x4.mul(v128.load(sine + i), f32x4.splat(sign));
        v128.store(out + i, f32x4.sub(f32x4.mul(low, c), f32x4.mul(high, s)));
        v128.store(out + bytes + i, f32x4.add(f32x4.mul(high, c), f32x4.mul(low, s)));
      }
      for (; i < bytes; i += FLOAT) {
        const low = load<f32>(x + i);
        const high = load<f32>(x + bytes + i);
        const c = load<f32>(cosine + i);
        const s = load<f32>(sine + i) * sign;
        store<f32>(out + i, low * c - high * s);
        store<f32>(out + bytes + i, high * c + low * s);
      }
      x += 2 * bytes;
      out += 2 * bytes;
    }
  }
}

/** out [m] = the sum of the rows of x [n,m], in order: a bias' gradient. */
export function sumRows(n: i32, m: i32, x: usize, out: usize): void {
  memory.fill(out, 0, usize(m) * FLOAT);
  for (let i = 0; i < n; i++) {
    const row = x + usize(i * m) * FLOAT;
    let j: usize = 0;
    const end = usize(m) * FLOAT;
    for (; j + VECTOR <= end; j += VECTOR) {
      v128.store(out + j, f32x4.add(v128.load(out + j), v128.load(row + j)));
    }
    for (; j < end; j += FLOAT) store<f32>(out + j, load<f32>(out + j) + load<f32>(row + j));
  }
}
