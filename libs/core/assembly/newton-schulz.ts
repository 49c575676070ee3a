// Newton–Schulz steps on one matrix in float64. Every entry of a product is summed over its inner index in order, from 0,
// each product and sum rounded: tiles, blocks and packing show in the time alone.

const DOUBLE: usize = 8;
const VECTOR: usize = 16;
/** A tile of a product: 4 × 4 entries in eight vectors. */
const TILE: i32 = 4;
/** Of the inner index at a time: a panel of 4 × 256 doubles is 8 KiB. */
const INNER: i32 = 256;
/** Columns of a product at a time: 256 × 128 packed doubles stay in the second-level cache. */
const COLUMNS: i32 = 128;

/** Jordan's coefficients: steep at 0, so that small singular values grow fast; the limit lies in 0.7 … 1.2. */
const A: f64 = 3.4445;
const B: f64 = -4.775;
const C: f64 = 2.0315;
const STEPS: i32 = 5;

/** Bytes that `orthogonalize` needs beside a matrix whose shorter side is `short`. */
export function scratchBytes(short: i32): f64 {
  const wide = f64(padded(short));
  return (2 * wide * wide + wide * f64(COLUMNS) + f64(INNER * (COLUMNS + TILE))) * f64(DOUBLE);
}

/**
 * Replaces a matrix U·S·Vᵀ (float64, row-major) by nearly U·Vᵀ, in place: X ← aX + (bA + cA²)X with A = XXᵀ, five
 * times, from X of norm 1 (Jordan et al. 2024, "Muon"). A zero matrix stays zero.
 */
export function orthogonalize(x: usize, rows: i32, columns: i32, scratch: usize): void {
  // A is the smaller of the two Gram matrices: a tall matrix is walked as its transpose, by strides.
  const flat = rows <= columns;
  const short = flat ? rows : columns;
  const long = flat ? columns : rows;
  const down: i32 = flat ? columns : 1;
  const along: i32 = flat ? 1 : columns;
  const wide = padded(short);
  const gram = scratch;
  const polynomial = gram + usize(wide) * usize(wide) * DOUBLE;
  const strip = polynomial + usize(wide) * usize(wide) * DOUBLE;
  const packs = strip + usize(wide) * usize(COLUMNS) * DOUBLE;

  normalize(x, short, long, down, along);
  for (let step = 0; step < STEPS; step++) {
    multiply(gram, wide, x, down, along, x, along, down, short, short, long, true, packs);
    multiply(polynomial, wide, gram, wide, 1, gram, 1, wide, short, short, short, true, packs);
    const b = f64x2.splat(B);
    const c = f64x2.splat(C);
    const end = gram + usize(wide) * usize(wide) * DOUBLE;
    for (let at = gram, to = polynomial; at < end; at += VECTOR, to += VECTOR) {
      v128.store(to, f64x2.add(f64x2.mul(b, v128.load(at)), f64x2.mul(c, v128.load(to))));
    }
    // A column of the result needs the same column of X alone: strip by strip, in place.
    for (let first = 0; first < long; first += COLUMNS) {
      const count = min(COLUMNS, long - first);
      const part = x + usize(first) * usize(along) * DOUBLE;
      multiply(strip, COLUMNS, polynomial, wide, 1, part, down, along, short, count, short, false, packs);
      for (let i = 0; i < short; i++) {
        for (let j = 0; j < count; j++) {
          const at = part + (usize(i) * usize(down) + usize(j) * usize(along)) * DOUBLE;
          const product = load<f64>(strip + (usize(i) * usize(COLUMNS) + usize(j)) * DOUBLE);
          store<f64>(at, A * load<f64>(at) + product);
        }
      }
    }
  }
}

/** X / (‖X‖ + 10⁻⁷), the squares summed along the shorter side's rows. */
function normalize(x: usize, short: i32, long: i32, down: i32, along: i32): void {
  let squares: f64 = 0;
  for (let i = 0; i < short; i++) {
    for (let j = 0; j < long; j++) {
      const value = load<f64>(x + (usize(i) * usize(down) + usize(j) * usize(along)) * DOUBLE);
      squares += value * value;
    }
  }
  const scale = 1 / (sqrt<f64>(squares) + 1e-7);
  const end = x + usize(short) * usize(long) * DOUBLE;
  for (let at = x; at < end; at += DOUBLE) store<f64>(at, load<f64>(at) * scale);
}

/**
 * out = p [P,K] · q [K,Q]; strides count doubles. `out` has rows of `width` and room for P and Q rounded up to whole
 * tiles, which become 0. `symmetric`: P = Q and out = outᵀ, so that only the tiles on and above the diagonal are computed.
 */
function multiply(
  out: usize,
  width: i32,
  p: usize,
  pDown: i32,
  pAlong: i32,
  q: usize,
  qDown: i32,
  qAlong: i32,
  P: i32,
  Q: i32,
  K: i32,
  symmetric: bool,
  packs: usize,
): void {
  const left = packs + usize(INNER) * usize(COLUMNS) * DOUBLE;
  memory.fill(out, 0, usize(padded(P)) * usize(width) * DOUBLE);
  for (let k = 0; k < K; k += INNER) {
    const depth = min(INNER, K - k);
    for (let first = 0; first < Q; first += COLUMNS) {
      const end = min(first + COLUMNS, Q);
      for (let j = first; j < end; j += TILE) {
        const from = q + (usize(k) * usize(qDown) + usize(j) * usize(qAlong)) * DOUBLE;
        pack(packs + usize(j - first) * usize(depth) * DOUBLE, from, qAlong, qDown, min(TILE, Q - j), depth);
      }
      const rows = symmetric ? end : P;
      for (let i = 0; i < rows; i += TILE) {
        const from = p + (usize(i) * usize(pDown) + usize(k) * usize(pAlong)) * DOUBLE;
        pack(left, from, pDown, pAlong, min(TILE, P - i), depth);
        for (let j = symmetric ? max(first, i) : first; j < end; j += TILE) {
          const to = out + (usize(i) * usize(width) + usize(j)) * DOUBLE;
          tile(to, usize(width) * DOUBLE, left, packs + usize(j - first) * usize(depth) * DOUBLE, depth);
        }
      }
    }
  }
  if (!symmetric) return;
  for (let i = 1; i < P; i++) {
    for (let j = 0; j < i; j++) {
      const above = load<f64>(out + (usize(j) * usize(width) + usize(i)) * DOUBLE);
      store<f64>(out + (usize(i) * usize(width) + usize(j)) * DOUBLE, above);
    }
  }
}

/** `count` (1 … 4) lines of `depth` entries side by side: entry k of line l at to[4k + l]; lines that are missing are 0. */
function pack(to: usize, from: usize, line: i32, along: i32, count: i32, depth: i32): void {
  for (let l = 0; l < TILE; l++) {
    let at = from + usize(l) * usize(line) * DOUBLE;
    for (let k = 0; k < depth; k++, at += usize(along) * DOUBLE) {
      store<f64>(to + usize(TILE * k + l) * DOUBLE, l < count ? load<f64>(at) : 0);
    }
  }
}

/** Adds `depth` products to each of the 4 × 4 entries at `to`, one after the other. */
function tile(to: usize, width: usize, p: usize, q: usize, depth: i32): void {
  const r1 = to + width;
  const r2 = r1 + width;
  const r3 = r2 + width;
  let a0 = v128.load(to);
  let a1 = v128.load(to, VECTOR);
  let b0 = v128.load(r1);
  let b1 = v128.load(r1, VECTOR);
  let c0 = v128.load(r2);
  let c1 = v128.load(r2, VECTOR);
  let d0 = v128.load(r3);
  let d1 = v128.load(r3, VECTOR);
  const end = p + usize(depth) * usize(TILE) * DOUBLE;
  while (p < end) {
    const q0 = v128.load(q);
    const q1 = v128.load(q, VECTOR);
    let x = v128.load_splat<f64>(p);
    a0 = f64x2.add(a0, f64x2.mul(x, q0));
    a1 = f64x2.add(a1, f64x2.mul(x, q1));
    x = v128.load_splat<f64>(p, 8);
    b0 = f64x2.add(b0, f64x2.mul(x, q0));
    b1 = f64x2.add(b1, f64x2.mul(x, q1));
    x = v128.load_splat<f64>(p, 16);
    c0 = f64x2.add(c0, f64x2.mul(x, q0));
    c1 = f64x2.add(c1, f64x2.mul(x, q1));
    x = v128.load_splat<f64>(p, 24);
    d0 = f64x2.add(d0, f64x2.mul(x, q0));
    d1 = f64x2.add(d1, f64x2.mul(x, q1));
    p += usize(TILE) * DOUBLE;
    q += usize(TILE) * DOUBLE;
  }
  v128.store(to, a0);
  v128.store(to, a1, VECTOR);
  v128.store(r1, b0);
  v128.store(r1, b1, VECTOR);
  v128.store(r2, c0);
  v128.store(r2, c1, VECTOR);
  v128.store(r3, d0);
  v128.store(r3, d1, VECTOR);
}

function padded(side: i32): i32 {
  return (side + TILE - 1) & ~(TILE - 1);
}
