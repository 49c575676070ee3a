/** Jordan's coefficients: steep at 0, so that small singular values grow fast; the limit lies in 0.7 … 1.2. */
const [a, b, c] = [3.4445, -4.775, 2.0315];
const iterations = 5;

/**
 * Replaces a matrix U·S·Vᵀ by nearly U·Vᵀ, row-major in place: five Newton–Schulz steps X ← aX + (bA + cA²)X with
 * A = XXᵀ, from X of norm 1 (Jordan et al. 2024, "Muon"). In float64, in one fixed order of additions. A zero matrix stays zero.
 */
export function orthogonalize(matrix: Float64Array, rows: number, columns: number): void {
  const flat = rows <= columns; // A is the smaller of the two Gram matrices
  const short = flat ? rows : columns;
  const long = flat ? columns : rows;
  let x = flat ? matrix.slice() : transpose(matrix, rows, columns);
  let squares = 0;
  for (let i = 0; i < x.length; i++) squares += x[i] * x[i];
  const scale = 1 / (Math.sqrt(squares) + 1e-7);
  for (let i = 0; i < x.length; i++) x[i] *= scale;

  const gram = new Float64Array(short * short);
  const polynomial = new Float64Array(short * short);
  const product = new Float64Array(short * long);
  for (let step = 0; step < iterations; step++) {
    timesTransposed(x, x, gram, short, short, long); // A
    timesTransposed(gram, gram, polynomial, short, short, short); // A·Aᵀ = A²
    for (let i = 0; i < gram.length; i++) polynomial[i] = b * gram[i] + c * polynomial[i];
    timesTransposed(polynomial, transpose(x, short, long), product, short, long, short);
    for (let i = 0; i < x.length; i++) x[i] = a * x[i] + product[i];
  }
  if (!flat) x = transpose(x, short, long);
  matrix.set(x);
}

/**
 * p [P,K] · qᵀ, q [Q,K] → out [P,Q]; of a matrix with itself only one half is computed. Every entry is summed over
 * K in order, so the tiling shows in the time alone.
 */
function timesTransposed(
  p: Float64Array,
  q: Float64Array,
  out: Float64Array,
  P: number,
  Q: number,
  K: number,
): void {
  const symmetric = p === q;
  for (let i = 0; i < P; i += 2) {
    const p0 = i * K;
    const p1 = i + 1 < P ? p0 + K : p0; // at the edge a row is computed twice
    for (let j = symmetric ? i : 0; j < Q; j += 4) {
      const q0 = j * K;
      const q1 = Math.min(j + 1, Q - 1) * K;
      const q2 = Math.min(j + 2, Q - 1) * K;
      const q3 = Math.min(j + 3, Q - 1) * K;
      let s00 = 0;
      let s01 = 0;
      let s02 = 0;
      let s03 = 0;
      let s10 = 0;
      let s11 = 0;
      let s12 = 0;
      let s13 = 0;
      for (let k = 0; k < K; k++) {
        const x0 = p[p0 + k];
        const x1 = p[p1 + k];
        const y0 = q[q0 + k];
        const y1 = q[q1 + k];
        const y2 = q[q2 + k];
        const y3 = q[q3 + k];
        s00 += x0 * y0;
        s01 += x0 * y1;
        s02 += x0 * y2;
        s03 += x0 * y3;
        s10 += x1 * y0;
        s11 += x1 * y1;
        s12 += x1 * y2;
        s13 += x1 * y3;
      }
      const r0 = i * Q;
      const r1 = p1 === p0 ? r0 : r0 + Q;
      const j1 = Math.min(j + 1, Q - 1);
      const j2 = Math.min(j + 2, Q - 1);
      const j3 = Math.min(j + 3, Q - 1);
      out[r0 + j] = s00;
      out[r0 + j1] = s01;
      out[r0 + j2] = s02;
      out[r0 + j3] = s03;
      out[r1 + j] = s10;
      out[r1 + j1] = s11;
      out[r1 + j2] = s12;
      out[r1 + j3] = s13;
    }
  }
  if (!symmetric) return;
  for (let i = 0; i < P; i++) for (let j = 0; j < i; j++) out[i * P + j] = out[j * P + i];
}

function transpose(x: Float64Array, rows: number, columns: number): Float64Array {
  const out = new Float64Array(x.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = x[i * columns + j];
  return out;
}
