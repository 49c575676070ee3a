import { FLOAT, storePart, VECTOR, v4 } from './vector';

// Layer norm and RMS norm over rows of c floats: four lanes as far as they go, then one by one. Sums are those of one
// row each, four rows in turn, so that no addition waits for the one before; behind the last row it stands again.

/** Sums of four rows, a lane for each. */
class four {
  /** Σ (x − shift)^power, for the powers 1 and 2; the rows begin at the addresses given. */
  @inline
  static sums(power: i32, x0: usize, x1: usize, x2: usize, x3: usize, end: usize, shifts: v128): v128 {
    const shift0 = v128.shuffle<f32>(shifts, shifts, 0, 0, 0, 0);
    const shift1 = v128.shuffle<f32>(shifts, shifts, 1, 1, 1, 1);
    const shift2 = v128.shuffle<f32>(shifts, shifts, 2, 2, 2, 2);
    const shift3 = v128.shuffle<f32>(shifts, shifts, 3, 3, 3, 3);
    let t0 = f32x4.splat(0);
    let t1 = t0;
    let t2 = t0;
    let t3 = t0;
    let i: usize = 0;
    for (; i + VECTOR <= end; i += VECTOR) {
      const d0 = f32x4.sub(v128.load(x0 + i), shift0);
      const d1 = f32x4.sub(v128.load(x1 + i), shift1);
      const d2 = f32x4.sub(v128.load(x2 + i), shift2);
      const d3 = f32x4.sub(v128.load(x3 + i), shift3);
      t0 = f32x4.add(t0, power == 1 ? d0 : f32x4.mul(d0, d0));
      t1 = f32x4.add(t1, power == 1 ? d1 : f32x4.mul(d1, d1));
      t2 = f32x4.add(t2, power == 1 ? d2 : f32x4.mul(d2, d2));
      t3 = f32x4.add(t3, power == 1 ? d3 : f32x4.mul(d3, d3));
    }
    let result = f32x4(v4.sum(t0), v4.sum(t1), v4.sum(t2), v4.sum(t3));
    for (; i < end; i += FLOAT) {
      const x = f32x4(load<f32>(x0 + i), load<f32>(x1 + i), load<f32>(x2 + i), load<f32>(x3 + i));
      const d = f32x4.sub(x, shifts);
      result = f32x4.add(result, power == 1 ? d : f32x4.mul(d, d));
    }
    return result;
  }
}

function sums(x0: usize, x1: usize, x2: usize, x3: usize, end: usize, shifts: v128): v128 {
  return four.sums(1, x0, x1, x2, x3, end, shifts);
}

function sumsOfSquares(x0: usize, x1: usize, x2: usize, x3: usize, end: usize, shifts: v128): v128 {
  return four.sums(2, x0, x1, x2, x3, end, shifts);
}

/** out = (x − mean)·rstd·weight + bias; a bias of 0 stands for none. */
function scaleRow(x: usize, weight: usize, bias: usize, out: usize, end: usize, mean: f32, rstd: f32): void {
  let i: usize = 0;
  for (; i + VECTOR <= end; i += VECTOR) {
    const normal = f32x4.mul(f32x4.sub(v128.load(x + i), f32x4.splat(mean)), f32x4.splat(rstd));
    const scaled = f32x4.mul(normal, v128.load(weight + i));
    v128.store(out + i, bias == 0 ? scaled : f32x4.add(scaled, v128.load(bias + i)));
  }
  for (; i < end; i += FLOAT) {
    const scaled = (load<f32>(x + i) - mean) * rstd * load<f32>(weight + i);
    store<f32>(out + i, bias == 0 ? scaled : scaled + load<f32>(bias + i));
  }
}

export function layerNorm(
  x: usize,
  weight: usize,
  bias: usize,
  out: usize,
  means: usize,
  rstds: usize,
  n: i32,
  c: i32,
  epsilon: f32,
): void {
  for (let row = 0; row < n; row += 4) {
    const rows = min(4, n - row);
    const at = usize(row) * FLOAT;
    norm(x, weight, bias, out, means + at, rstds + at, rows, c, epsilon);
    x += usize(4 * c) * FLOAT;
    out += usize(4 * c) * FLOAT;
  }
}

export function rmsNorm(
  x: usize,
  weight: usize,
  out: usize,
  rstds: usize,
  n: i32,
  c: i32,
  epsilon: f32,
): void {
  for (let row = 0; row < n; row += 4) {
    norm(x, weight, 0, out, 0, rstds + usize(row) * FLOAT, min(4, n - row), c, epsilon);
    x += usize(4 * c) * FLOAT;
    out += usize(4 * c) * FLOAT;
  }
}

/** Up to four rows; without `means` their mean counts as 0. */
function norm(
  x: usize,
  weight: usize,
  bias: usize,
  out: usize,
  means: usize,
  rstds: usize,
  rows: i32,
  c: i32,
  epsilon: f32,
): void {
  const end = usize(c) * FLOAT;
  const last = x + usize(rows - 1) * end;
  const x1 = min(x + end, last);
  const x2 = min(x1 + end, last);
  const x3 = min(x2 + end, last);
  const size = f32x4.splat(f32(c));
  let mean = f32x4.splat(0);
  if (means != 0) {
    // The second sum takes away what rounding left in the first.
    const rough = f32x4.div(sums(x, x1, x2, x3, end, mean), size);
    mean = f32x4.add(rough, f32x4.div(sums(x, x1, x2, x3, end, rough), size));
    storePart(means, rows, mean);
  }
  const variance = f32x4.div(sumsOfSquares(x, x1, x2, x3, end, mean), size);
  const rstd = f32x4.div(f32x4.splat(1), f32x4.sqrt(f32x4.add(variance, f32x4.splat(epsilon))));
  storePart(rstds, rows, rstd);
  scaleRow(x, weight, bias, out, end, f32x4.extract_lane(mean, 0), f32x4.extract_lane(rstd, 0));
  if (rows > 1)
    scaleRow(x1, weight, bias, out + end, end, f32x4.extract_lane(mean, 1), f32x4.extract_lane(rstd, 1));
  if (rows > 2)
    scaleRow(x2, weight, bias, out + 2 * end, end, f32x4.extract_lane(mean, 2), f32x4.extract_lane(rstd, 2));
  if (rows > 3)
    scaleRow(x3, weight, bias, out + 3 * end, end, f32x4.extract_lane(mean, 3), f32x4.extract_lane(rstd, 3));
}

/**
 * With x̂ = (x − mean)·rstd and d = g⊙weight: dx = (d − mean(d) − x̂·mean(d⊙x̂))·rstd, dweight = Σ g⊙x̂, dbias = Σ g.
 * For RMS norm `means` and `dbias` are 0: its mean is 0 and has no gradient.
 */
export function normBackward(
  g: usize,
  x: usize,
  weight: usize,
  means: usize,
  rstds: usize,
  dx: usize,
  dweight: usize,
  dbias: usize,
  n: i32,
  c: i32,
): void {
  const end = usize(c) * FLOAT;
  const centred = means != 0;
  memory.fill(dweight, 0, end);
  if (centred) memory.fill(dbias, 0, end);
  for (let row = 0; row < n; row++) {
    const mean: f32 = centred ? load<f32>(means + usize(row) * FLOAT) : 0;
    const rstd = load<f32>(rstds + usize(row) * FLOAT);
    let d4 = f32x4.splat(0);
    let dTimesNormal4 = f32x4.splat(0);
    let i: usize = 0;
    for (; i + VECTOR <= end; i += VECTOR) {
      const gradient = v128.load(g + i);
      const normal = f32x4.mul(f32x4.sub(v128.load(x + i), f32x4.splat(mean)), f32x4.splat(rstd));
      const d = f32x4.mul(gradient, v128.load(weight + i));
      d4 = f32x4.add(d4, d);
      dTimesNormal4 = f32x4.add(dTimesNormal4, f32x4.mul(d, normal));
      v128.store(dweight + i, f32x4.add(v128.load(dweight + i), f32x4.mul(gradient, normal)));
      if (centred) v128.store(dbias + i, f32x4.add(v128.load(dbias + i), gradient));
    }
    let meanOfD = v4.sum(d4);
    let meanOfDTimesNormal = v4.sum(dTimesNormal4);
    for (; i < end; i += FLOAT) {
      const gradient = load<f32>(g + i);
      const normal = (load<f32>(x + i) - mean) * rstd;
      const d = gradient * load<f32>(weight + i);
      meanOfD += d;
      meanOfDTimesNormal += d * normal;
      store<f32>(dweight + i, load<f32>(dweight + i) + gradient * normal);
      if (centred) store<f32>(dbias + i, load<f32>(dbias + i) + gradient);
    }
    meanOfD = centred ? meanOfD / f32(c) : 0;
    meanOfDTimesNormal /= f32(c);
    for (i = 0; i + VECTOR <= end; i += VECTOR) {
      const normal = f32x4.mul(f32x4.sub(v128.load(x + i), f32x4.splat(mean)), f32x4.splat(rstd));
      const d = f32x4.mul(v128.load(g + i), v128.load(weight + i));
      const rest = f32x4.sub(
        f32x4.sub(d, f32x4.splat(meanOfD)),
        f32x4.mul(normal, f32x4.splat(meanOfDTimesNormal)),
      );
      v128.store(dx + i, f32x4.mul(rest, f32x4.splat(rstd)));
    }
    for (; i < end; i += FLOAT) {
      const normal = (load<f32>(x + i) - mean) * rstd;
      const d = load<f32>(g + i) * load<f32>(weight + i);
      store<f32>(dx + i, (d - meanOfD - normal * meanOfDTimesNormal) * rstd);
    }
    g += end;
    x += end;
    dx += end;
  }
}
