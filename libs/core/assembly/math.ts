// Elementary functions in float64. AssemblyScript's NativeMath compiles to WebAssembly arithmetic, whose every
// operation is exact to IEEE 754, so the last bit is the same on every engine and processor.

export function exp(x: f64): f64 {
  return NativeMath.exp(x);
}

export function log(x: f64): f64 {
  return NativeMath.log(x);
}

export function tanh(x: f64): f64 {
  return NativeMath.tanh(x);
}

export function cos(x: f64): f64 {
  return NativeMath.cos(x);
}

export function sin(x: f64): f64 {
  return NativeMath.sin(x);
}

export function pow(x: f64, y: f64): f64 {
  return NativeMath.pow(x, y);
}

const TWO_OVER_SQRT_PI: f64 = 1.1283791670955126;

/**
 * The error function. Below 3 by Kummer's series, whose terms are all positive (Abramowitz & Stegun 7.1.6);
 * above by the continued fraction of erfc (7.1.14), from its fortieth term back.
 */
export function erf(x: f64): f64 {
  if (x != x) return x;
  const z = NativeMath.abs(x);
  if (z > 6.0) return x < 0.0 ? -1.0 : 1.0;
  const square = z * z;
  let value: f64;
  if (z < 3.0) {
    let term = z;
    let sum = z;
    for (let n = 1; term > sum * 1e-17; n++) {
      term *= (2.0 * square) / f64(2 * n + 1);
      sum += term;
    }
    value = TWO_OVER_SQRT_PI * NativeMath.exp(-square) * sum;
  } else {
    let fraction = z;
    for (let n = 40; n > 0; n--) fraction = z + (0.5 * f64(n)) / fraction;
    value = 1.0 - (0.5 * TWO_OVER_SQRT_PI * NativeMath.exp(-square)) / fraction;
  }
  return copysign(value, x);
}
