import { FLOAT, VECTOR, v4 } from './vector';

// Layer norm and RMS norm over rows of c floats: four lanes as far as they go, then one by one.

/** Σ (x − shift) over a row */
function sum(x: usize, end: usize, shift: f32): f32 {
  let total = f32x4.splat(0);
  let i: usize = 0;
  for (; i + VECTOR <= end; i += VECTOR) {
    total = f32x4.add(total, f32x4.sub(v128.load(x + i), f32x4.splat(shift)));
  }
  let result = v4.sum(total);
  for (; i < end; i += FLOAT) result += load<f32>(x + i) - shift;
  return result;
}

/** Σ (x − shift)² over a row */
function sumOfSquares(x: usize, end: usize, shift: f32): f32 {
  let total = f32x4.splat(0);
  let i: usize = 0;
  for (; i + VECTOR <= end; i += VECTOR) {
    const d = f32x4.sub(v128.load(x + i), f32x4.splat(shift));
    total = f32x4.add(total, f32x4.mul(d, d));
  }
  let result = v4.sum(total);
  for (; i < end; i += FLOAT) {
    const d = load<f32>(x + i) - shift;
    result += d * d;
  }
  return result;
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
  const end = usize(c) * FLOAT;
  for (let row = 0; row < n; row++) {
    // The second sum takes away what rounding left in the first.
    const rough = sum(x, end, 0) / f32(c);
    const mean = rough + sum(x, end, rough) / f32(c);
    const rstd: f32 = 1 / sqrt<f32>(sumOfSquares(x, end, mean) / f32(c) + epsilon);
    scaleRow(x, weight, bias, out, end, mean, rstd);
    store<f32>(means + usize(row) * FLOAT, mean);
    store<f32>(rstds + usize(row) * FLOAT, rstd);
    x += end;
    out += end;
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
  const end = usize(c) * FLOAT;
  for (let row = 0; row < n; row++) {
    const rstd: f32 = 1 / sqrt<f32>(sumOfSquares(x, end, 0) / f32(c) + epsilon);
    scaleRow(x, weight, 0, out, end, 0, rstd);
    store<f32>(rstds + usize(row) * FLOAT, rstd);
    x += end;
    out += end;
  }
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
