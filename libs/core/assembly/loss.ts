import { FLOAT, loadPart, storePart, VECTOR, v4 } from './vector';

/** Exponentials summed in float32 before they join the row's sum in float64. */
const CHUNK: usize = 64 * VECTOR;

/** logits [n,v], targets [n] → losses [n] and logSumExp [n]; a target of −1 has the loss 0. */
export function crossEntropy(
  logits: usize,
  targets: usize,
  losses: usize,
  logSumExp: usize,
  n: i32,
  v: i32,
): void {
  const end = usize(v) * FLOAT;
  for (let row: usize = 0; row < usize(n); row++) {
    const greatest = rowMax(logits, end);
    const sum = f32(f64(greatest) + NativeMath.log(rowSumOfExp(logits, end, greatest)));
    store<f32>(logSumExp + row * FLOAT, sum);
    const target = load<i32>(targets + row * FLOAT);
    store<f32>(losses + row * FLOAT, target < 0 ? 0 : sum - load<f32>(logits + usize(target) * FLOAT));
    logits += end;
  }
}

/** A NaN may be passed over here: the sum of exponentials meets it. */
function rowMax(x: usize, end: usize): f32 {
  let most = f32x4.splat(-f32.MAX_VALUE);
  let i: usize = 0;
  let other = most;
  for (; i + 2 * VECTOR <= end; i += 2 * VECTOR) {
    most = f32x4.pmax(most, v128.load(x + i));
    other = f32x4.pmax(other, v128.load(x + i, 16));
  }
  most = f32x4.pmax(most, other);
  for (; i + VECTOR <= end; i += VECTOR) most = f32x4.pmax(most, v128.load(x + i));
  most = f32x4.pmax(most, loadPart(x + i, i32((end - i) / FLOAT), -f32.MAX_VALUE));
  return v4.max(most);
}

/** Σ e^(x − shift) */
function rowSumOfExp(x: usize, end: usize, shift: f32): f64 {
  let sum: f64 = 0;
  let i: usize = 0;
  while (i < end) {
    let total = f32x4.splat(0);
    const stop = min(i + CHUNK, end);
    for (; i + 4 * VECTOR <= stop; i += 4 * VECTOR) {
      const x0 = v128.load(x + i);
      const x1 = v128.load(x + i, 16);
      const x2 = v128.load(x + i, 32);
      const x3 = v128.load(x + i, 48);
      total = f32x4.add(total, v4.exp(f32x4.sub(x0, f32x4.splat(shift))));
      total = f32x4.add(total, v4.exp(f32x4.sub(x1, f32x4.splat(shift))));
      total = f32x4.add(total, v4.exp(f32x4.sub(x2, f32x4.splat(shift))));
      total = f32x4.add(total, v4.exp(f32x4.sub(x3, f32x4.splat(shift))));
    }
    for (; i + VECTOR <= stop; i += VECTOR) {
      total = f32x4.add(total, v4.exp(f32x4.sub(v128.load(x + i), f32x4.splat(shift))));
    }
    if (i < stop) {
      const rest = loadPart(x + i, i32((stop - i) / FLOAT), -f32.MAX_VALUE);
      total = f32x4.add(total, v4.exp(f32x4.sub(rest, f32x4.splat(shift))));
      i = stop;
    }
    sum += f64(v4.sum(total));
  }
  return sum;
}

/**
 * Softmax and cross-entropy in one visit of each row: `crossEntropy`, and then the logits are overwritten by the
 * gradient of the sum of the losses, softmax(logits) − one-hot(target), or 0 where the target is −1.
 */
export function lossGradient(
  logits: usize,
  targets: usize,
  losses: usize,
  logSumExp: usize,
  n: i32,
  v: i32,
): void {
  for (let row: usize = 0; row < usize(n); row++) {
    const at = row * FLOAT;
    crossEntropy(logits, targets + at, losses + at, logSumExp + at, 1, v);
    rowGradient(1, logits, load<i32>(targets + at), load<f32>(logSumExp + at), logits, v);
    logits += usize(v) * FLOAT;
  }
}

/** out = g·(softmax(logits) − one-hot(target)), 0 where the target is −1 */
export function crossEntropyBackward(
  g: usize,
  logits: usize,
  targets: usize,
  logSumExp: usize,
  out: usize,
  n: i32,
  v: i32,
): void {
  for (let row: usize = 0; row < usize(n); row++) {
    const at = row * FLOAT;
    rowGradient(load<f32>(g + at), logits, load<i32>(targets + at), load<f32>(logSumExp + at), out, v);
    logits += usize(v) * FLOAT;
    out += usize(v) * FLOAT;
  }
}

/** One row of it; `out` may be `logits`. */
function rowGradient(g: f32, logits: usize, target: i32, logSumExp: f32, out: usize, v: i32): void {
  const end = usize(v) * FLOAT;
  if (target < 0) {
    memory.fill(out, 0, end);
    return;
  }
  const gradient = f32x4.splat(g);
  const shift = f32x4.splat(logSumExp);
  let i: usize = 0;
  for (; i + 4 * VECTOR <= end; i += 4 * VECTOR) {
    const x0 = v128.load(logits + i);
    const x1 = v128.load(logits + i, 16);
    const x2 = v128.load(logits + i, 32);
    const x3 = v128.load(logits + i, 48);
    v128.store(out + i, f32x4.mul(gradient, v4.exp(f32x4.sub(x0, shift))));
    v128.store(out + i, f32x4.mul(gradient, v4.exp(f32x4.sub(x1, shift))), 16);
    v128.store(out + i, f32x4.mul(gradient, v4.exp(f32x4.sub(x2, shift))), 32);
    v128.store(out + i, f32x4.mul(gradient, v4.exp(f32x4.sub(x3, shift))), 48);
  }
  for (; i + VECTOR <= end; i += VECTOR) {
    v128.store(out + i, f32x4.mul(gradient, v4.exp(f32x4.sub(v128.load(logits + i), shift))));
  }
  const left = i32((end - i) / FLOAT);
  storePart(out + i, left, f32x4.mul(gradient, v4.exp(f32x4.sub(loadPart(logits + i, left, 0), shift))));
  const at = out + usize(target) * FLOAT;
  store<f32>(at, load<f32>(at) - g);
}
