import {
  type AttentionShape,
  KernelError,
  type RopeOptions,
  type Shape,
  type Tensor,
  type WeightLayout,
} from './kernels.js';

/**
 * What every operation asks of its arguments, checked before any backend computes. Each function returns the sizes
 * that the operation works with, and throws a KernelError that names the operation and the argument.
 */

/** The least and the greatest value of an index tensor; an empty one has none. */
export interface IndexRange {
  readonly least: number;
  readonly greatest: number;
}

export function sizeOf(shape: Shape): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

export function checkShape(shape: Shape, length?: number): void {
  if (!shape.every((extent) => Number.isSafeInteger(extent) && extent >= 0)) {
    throw new KernelError(`[${shape}] is not a shape`);
  }
  if (length !== undefined && sizeOf(shape) !== length) {
    throw new KernelError(`${length} values do not fill a tensor of shape [${shape}]`);
  }
}

export function rangeOf(data: Int32Array): IndexRange {
  let least = Number.POSITIVE_INFINITY;
  let greatest = Number.NEGATIVE_INFINITY;
  for (const value of data) {
    if (value < least) least = value;
    if (value > greatest) greatest = value;
  }
  return { least, greatest };
}

export function checkRange(what: string, { least, greatest }: IndexRange, from: number, below: number): void {
  if (least < from || greatest >= below) {
    const wrong = least < from ? least : greatest;
    throw new KernelError(`${what}: the index ${wrong} is not from ${from} to ${below - 1}`);
  }
}

/** The one shape that the tensor may have; null stands for any extent. */
export function expectShape(what: string, tensor: Tensor, ...shape: readonly (number | null)[]): void {
  const fits =
    tensor.shape.length === shape.length &&
    shape.every((extent, axis) => (extent ?? tensor.shape[axis]) === tensor.shape[axis]);
  if (!fits) {
    const wanted = shape.map((extent) => extent ?? '?').join(',');
    throw new KernelError(`${what} has the shape [${tensor.shape}], but must have [${wanted}]`);
  }
}

export function matrix(what: string, tensor: Tensor): readonly [rows: number, columns: number] {
  expectShape(what, tensor, null, null);
  return [tensor.shape[0], tensor.shape[1]];
}

export function sameShape(what: string, a: Tensor, b: Tensor): void {
  expectShape(what, b, ...a.shape);
}

export function linearSizes(x: Tensor, weight: Tensor, bias: Tensor | null, layout: WeightLayout) {
  const [n, k] = matrix("linear's x", x);
  const [first, second] = matrix("linear's weight", weight);
  const m = layout === 'inOut' ? second : first;
  expectShape("linear's weight", weight, ...(layout === 'inOut' ? [k, m] : [m, k]));
  if (bias) expectShape("linear's bias", bias, m);
  return { n, k, m };
}

/** Sizes of layer norm and RMS norm, forward and backward: each of `columns` is [C], each of `rows` [N]. */
export function normSizes(what: string, x: Tensor, columns: readonly Tensor[], rows: readonly Tensor[] = []) {
  const [n, c] = matrix(`${what}'s x`, x);
  for (const column of columns) expectShape(`${what}'s weight or bias`, column, c);
  for (const row of rows) expectShape(`${what}'s statistics`, row, n);
  return { n, c };
}

export function ropeSizes(x: Tensor, positions: Tensor, { heads, headDim }: RopeOptions): { n: number } {
  const [n] = matrix("rope's x", x);
  if (headDim % 2 !== 0) throw new KernelError(`rope: headDim is ${headDim}, but must be even`);
  expectShape("rope's x", x, n, heads * headDim);
  expectShape("rope's positions", positions, n);
  return { n };
}

export interface AttentionSizes {
  readonly batch: number;
  readonly time: number;
  readonly first: number;
  /** time − first */
  readonly queries: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Columns of qkv. */
  readonly width: number;
}

export function attentionSizes(qkv: Tensor, shape: AttentionShape): AttentionSizes {
  const { batch, time, heads, kvHeads, headDim, first = 0 } = shape;
  const width = (heads + 2 * kvHeads) * headDim;
  if (heads % kvHeads !== 0) {
    throw new KernelError(`attention: ${kvHeads} key and value heads do not divide ${heads} heads`);
  }
  if (first < 0 || first >= time) throw new KernelError(`attention: first is ${first}, but time is ${time}`);
  if (first > 0 && batch !== 1)
    throw new KernelError(`attention: first > 0 needs one sequence, not ${batch}`);
  if (first > 0 && qkv.shape[0] >= time) expectShape("attention's qkv", qkv, null, width);
  else expectShape("attention's qkv", qkv, batch * time, width);
  return { batch, time, first, queries: time - first, heads, kvHeads, headDim, width };
}

export function cachedAttentionSizes(qkv: Tensor, cache: Tensor, shape: AttentionShape): AttentionSizes {
  const { time, first = 0 } = shape;
  const { width, ...sizes } = attentionSizes({ ...cache, shape: [time, cache.shape[1]] }, shape);
  expectShape("cachedAttention's qkv", qkv, time - first, width);
  rowSizes("cachedAttention's cache", cache, first, time - first);
  return { ...sizes, width };
}

export function attentionBackwardSizes(
  gradient: Tensor,
  qkv: Tensor,
  out: Tensor,
  logSumExp: Tensor,
  shape: AttentionShape,
): AttentionSizes {
  const sizes = attentionSizes(qkv, shape);
  const { batch, time, heads, headDim, first } = sizes;
  if (first > 0) throw new KernelError('attention with first > 0 has no gradient');
  expectShape("attention's gradient", gradient, batch * time, heads * headDim);
  expectShape("attention's out", out, batch * time, heads * headDim);
  expectShape("attention's logSumExp", logSumExp, batch, heads, time);
  return sizes;
}

export function concatSizes(parts: readonly Tensor[]): { n: number; columns: number[] } {
  if (parts.length === 0) throw new KernelError('concat needs at least one tensor');
  const [n] = matrix("concat's first part", parts[0]);
  for (const part of parts) expectShape("concat's part", part, n, null);
  return { n, columns: parts.map((part) => part.shape[1]) };
}

export function splitSizes(x: Tensor, columns: readonly number[]): { n: number; width: number } {
  const [n, width] = matrix("split's x", x);
  checkShape(columns);
  const sum = columns.reduce((total, extent) => total + extent, 0);
  if (sum !== width) throw new KernelError(`split: [${columns}] do not add up to ${width} columns`);
  return { n, width };
}

/** The targets' values are checked where `range` is given. */
export function crossEntropySizes(logits: Tensor, targets: Tensor, range?: IndexRange) {
  const [n, v] = matrix("crossEntropy's logits", logits);
  expectShape("crossEntropy's targets", targets, n);
  if (range !== undefined) checkRange('crossEntropy', range, -1, v);
  return { n, v };
}

/** Rows first … first+count−1 of a tensor, which must have them. */
export function rowSizes(what: string, x: Tensor, first: number, count: number): { c: number } {
  const [rows, c] = matrix(what, x);
  if (first < 0 || count < 0 || first + count > rows) {
    throw new KernelError(`${what} has ${rows} rows, not the rows ${first} to ${first + count - 1}`);
  }
  return { c };
}
