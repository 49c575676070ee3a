import { dropoutMask } from '../../numeric/index.js';
import {
  type ActivationKind,
  type AttentionShape,
  type BackendInfo,
  type CacheShape,
  type DropoutKey,
  type HeadLoss,
  KernelError,
  type Kernels,
  type Mark,
  type Program,
  type RopeOptions,
  type Shape,
  type Tensor,
  type WeightLayout,
} from '../kernels.js';
import * as shapes from '../shapes.js';
import { activations } from './activation.js';
import { attention, attentionBackward } from './attention.js';
import { crossEntropy, crossEntropyBackward } from './cross-entropy.js';
import { linear, linearBackward } from './linear.js';
import { layerNorm, layerNormBackward, rmsNorm, rmsNormBackward } from './norm.js';
import { rope } from './rope.js';

/** Float64 in plain loops: the slow, obvious definition that the fast backends are held against. */
export function createReferenceKernels(): Kernels {
  return new ReferenceKernels();
}

class FloatTensor implements Tensor {
  readonly type = 'float';
  alive = true;

  constructor(
    readonly serial: number,
    readonly data: Float64Array,
    readonly shape: Shape,
  ) {}
}

class IndexTensor implements Tensor {
  readonly type = 'index';
  readonly shape: Shape;
  range: shapes.IndexRange;
  alive = true;

  constructor(
    readonly serial: number,
    readonly data: Int32Array,
  ) {
    this.shape = [data.length];
    this.range = shapes.rangeOf(data);
  }
}

class ReferenceKernels implements Kernels {
  readonly info: BackendInfo = {
    backend: 'reference',
    mode: 'float64',
    device: 'plain JavaScript loops',
    reproducible: true,
  };
  /** Every tensor that lives, in the order in which they were made. */
  readonly #live: (FloatTensor | IndexTensor)[] = [];
  #serial = 0;

  tensor(data: Float32Array | Float64Array, shape: Shape): Tensor {
    shapes.checkShape(shape, data.length);
    return this.#keep(Float64Array.from(data), shape);
  }

  indices(data: Int32Array): Tensor {
    const tensor = new IndexTensor(this.#serial++, data.slice());
    this.#live.push(tensor);
    return tensor;
  }

  zeros(shape: Shape): Tensor {
    shapes.checkShape(shape);
    return this.#keep(new Float64Array(shapes.sizeOf(shape)), shape);
  }

  write(target: Tensor, data: Float32Array | Float64Array): void {
    shapes.checkShape(target.shape, data.length);
    float(target).set(data);
  }

  writeIndices(target: Tensor, data: Int32Array): void {
    const tensor = index(target);
    shapes.checkShape(target.shape, data.length);
    tensor.data.set(data);
    tensor.range = shapes.rangeOf(data);
  }

  async read(tensor: Tensor): Promise<Float64Array> {
    return tensor.type === 'index' ? Float64Array.from(index(tensor).data) : float(tensor).slice();
  }

  readInto(tensor: Tensor, target: Float32Array): null {
    shapes.checkShape(tensor.shape, target.length);
    target.set(float(tensor));
    return null;
  }

  mark(): Mark {
    return this.#serial;
  }

  release(mark: Mark): void {
    const kept = this.#live.findLastIndex(({ serial }) => serial < mark) + 1;
    for (const tensor of this.#live.splice(kept)) tensor.alive = false;
  }

  async dispose(): Promise<void> {
    this.release(0);
  }

  /** Nothing is planned here: a run is `build` once more, and what it made is collected when nobody holds it. */
  compile<T>(build: () => T): Program<T> {
    return {
      bytes: 0,
      run: () => {
        const before = this.#live.length;
        const result = build();
        this.#live.splice(before);
        return result;
      },
    };
  }

  hook(_tensors: readonly Tensor[], then: () => void): void {
    then();
  }

  choices(): string {
    return '';
  }

  embedding(table: Tensor, ids: Tensor): Tensor {
    const [rows, c] = shapes.matrix("embedding's table", table);
    const { data, range } = index(ids);
    shapes.checkRange('embedding', range, 0, rows);
    const values = float(table);
    const out = new Float64Array(data.length * c);
    for (const [n, id] of data.entries()) out.set(values.subarray(id * c, (id + 1) * c), n * c);
    return this.#keep(out, [data.length, c]);
  }

  embeddingBackward(gradient: Tensor, ids: Tensor, rows: number): Tensor {
    const { data, range } = index(ids);
    shapes.expectShape("embedding's gradient", gradient, data.length, null);
    shapes.checkRange('embedding', range, 0, rows);
    const c = gradient.shape[1];
    const values = float(gradient);
    const out = new Float64Array(rows * c);
    for (const [n, id] of data.entries()) {
      for (let i = 0; i < c; i++) out[id * c + i] += values[n * c + i];
    }
    return this.#keep(out, [rows, c]);
  }

  linear(x: Tensor, weight: Tensor, bias: Tensor | null, layout: WeightLayout): Tensor {
    const sizes = shapes.linearSizes(x, weight, bias, layout);
    return this.#keep(linear(float(x), float(weight), bias && float(bias), layout, sizes), [
      sizes.n,
      sizes.m,
    ]);
  }

  linearBackward(gradient: Tensor, x: Tensor, weight: Tensor, hasBias: boolean, layout: WeightLayout) {
    const sizes = shapes.linearSizes(x, weight, null, layout);
    shapes.expectShape("linear's gradient", gradient, sizes.n, sizes.m);
    const result = linearBackward(float(gradient), float(x), float(weight), layout, sizes);
    return {
      x: this.#keep(result.x, x.shape),
      weight: this.#keep(result.weight, weight.shape),
      bias: hasBias ? this.#keep(result.bias, [sizes.m]) : null,
    };
  }

  layerNorm(x: Tensor, weight: Tensor, bias: Tensor, epsilon: number) {
    const sizes = shapes.normSizes('layerNorm', x, [weight, bias]);
    const result = layerNorm(float(x), float(weight), float(bias), epsilon, sizes);
    return {
      out: this.#keep(result.out, x.shape),
      mean: this.#keep(result.mean, [sizes.n]),
      rstd: this.#keep(result.rstd, [sizes.n]),
    };
  }

  layerNormBackward(gradient: Tensor, x: Tensor, weight: Tensor, mean: Tensor, rstd: Tensor) {
    const sizes = shapes.normSizes('layerNorm', x, [weight], [mean, rstd]);
    shapes.sameShape("layerNorm's gradient", x, gradient);
    const result = layerNormBackward(
      float(gradient),
      float(x),
      float(weight),
      float(mean),
      float(rstd),
      sizes,
    );
    return {
      x: this.#keep(result.x, x.shape),
      weight: this.#keep(result.weight, weight.shape),
      bias: this.#keep(result.bias, weight.shape),
    };
  }

  rmsNorm(x: Tensor, weight: Tensor, epsilon: number) {
    const sizes = shapes.normSizes('rmsNorm', x, [weight]);
    const result = rmsNorm(float(x), float(weight), epsilon, sizes);
    return { out: this.#keep(result.out, x.shape), rstd: this.#keep(result.rstd, [sizes.n]) };
  }

  rmsNormBackward(gradient: Tensor, x: Tensor, weight: Tensor, rstd: Tensor) {
    const sizes = shapes.normSizes('rmsNorm', x, [weight], [rstd]);
    shapes.sameShape("rmsNorm's gradient", x, gradient);
    const result = rmsNormBackward(float(gradient), float(x), float(weight), float(rstd), sizes);
    return { x: this.#keep(result.x, x.shape), weight: this.#keep(result.weight, weight.shape) };
  }

  activation(x: Tensor, kind: ActivationKind): Tensor {
    return this.#keep(float(x).map(activations[kind].value), x.shape);
  }

  activationBackward(gradient: Tensor, x: Tensor, kind: ActivationKind): Tensor {
    shapes.sameShape("activation's gradient", x, gradient);
    const values = float(x);
    const slopes = float(gradient).map((g, i) => g * activations[kind].slope(values[i]));
    return this.#keep(slopes, x.shape);
  }

  swiglu(gate: Tensor, up: Tensor): Tensor {
    shapes.sameShape("swiglu's up", gate, up);
    const ups = float(up);
    return this.#keep(
      float(gate).map((value, i) => activations.silu.value(value) * ups[i]),
      gate.shape,
    );
  }

  swigluBackward(gradient: Tensor, gate: Tensor, up: Tensor) {
    shapes.sameShape("swiglu's up", gate, up);
    shapes.sameShape("swiglu's gradient", gate, gradient);
    const [gates, ups, values] = [float(gate), float(up), float(gradient)];
    return {
      gate: this.#keep(
        values.map((g, i) => g * ups[i] * activations.silu.slope(gates[i])),
        gate.shape,
      ),
      up: this.#keep(
        values.map((g, i) => g * activations.silu.value(gates[i])),
        gate.shape,
      ),
    };
  }

  rope(x: Tensor, positions: Tensor, options: RopeOptions, inverse: boolean): Tensor {
    shapes.ropeSizes(x, positions, options);
    return this.#keep(rope(float(x), index(positions).data, options, inverse), x.shape);
  }

  attention(qkv: Tensor, shape: AttentionShape) {
    const sizes = shapes.attentionSizes(qkv, shape);
    const { batch, queries, heads, headDim } = sizes;
    const result = attention(float(qkv), sizes);
    return {
      out: this.#keep(result.out, [batch * queries, heads * headDim]),
      logSumExp: this.#keep(result.logSumExp, [batch, heads, queries]),
    };
  }

  attentionBackward(
    gradient: Tensor,
    qkv: Tensor,
    out: Tensor,
    logSumExp: Tensor,
    shape: AttentionShape,
  ): Tensor {
    const sizes = shapes.attentionBackwardSizes(gradient, qkv, out, logSumExp, shape);
    const result = attentionBackward(float(gradient), float(qkv), float(out), float(logSumExp), sizes);
    return this.#keep(result, qkv.shape);
  }

  cachedAttention(qkv: Tensor, cache: Tensor, shape: CacheShape): Tensor {
    this.writeRows(cache, shape.first, qkv);
    return this.attention(shape.first === 0 ? qkv : cache, shape).out;
  }

  accumulate(target: Tensor, x: Tensor): void {
    shapes.sameShape("accumulate's x", target, x);
    const [sums, values] = [float(target), float(x)];
    for (let i = 0; i < sums.length; i++) sums[i] += values[i];
  }

  copy(target: Tensor, x: Tensor): void {
    shapes.sameShape("copy's x", target, x);
    float(target).set(float(x));
  }

  add(a: Tensor, b: Tensor): Tensor {
    shapes.sameShape("add's second", a, b);
    const second = float(b);
    return this.#keep(
      float(a).map((value, i) => value + second[i]),
      a.shape,
    );
  }

  concat(parts: readonly Tensor[]): Tensor {
    const { n, columns } = shapes.concatSizes(parts);
    const width = columns.reduce((sum, extent) => sum + extent, 0);
    const out = new Float64Array(n * width);
    let left = 0;
    for (const part of parts) {
      const c = part.shape[1];
      const values = float(part);
      for (let row = 0; row < n; row++) out.set(values.subarray(row * c, (row + 1) * c), row * width + left);
      left += c;
    }
    return this.#keep(out, [n, width]);
  }

  split(x: Tensor, columns: readonly number[]): Tensor[] {
    const { n, width } = shapes.splitSizes(x, columns);
    const values = float(x);
    let left = 0;
    return columns.map((c) => {
      const part = new Float64Array(n * c);
      for (let row = 0; row < n; row++) {
        part.set(values.subarray(row * width + left, row * width + left + c), row * c);
      }
      left += c;
      return this.#keep(part, [n, c]);
    });
  }

  dropout(x: Tensor, probability: number, key: DropoutKey): Tensor {
    const values = float(x);
    const mask = dropoutMask(values.length, probability, key);
    return this.#keep(
      values.map((value, i) => value * mask[i]),
      x.shape,
    );
  }

  crossEntropy(logits: Tensor, targets: Tensor) {
    const { data, range } = index(targets);
    const sizes = shapes.crossEntropySizes(logits, targets, range);
    const result = crossEntropy(float(logits), data, sizes);
    return {
      losses: this.#keep(result.losses, [sizes.n]),
      logSumExp: this.#keep(result.logSumExp, [sizes.n]),
    };
  }

  crossEntropyBackward(gradient: Tensor, logits: Tensor, targets: Tensor, logSumExp: Tensor): Tensor {
    const { data, range } = index(targets);
    const sizes = shapes.crossEntropySizes(logits, targets, range);
    shapes.expectShape("crossEntropy's gradient", gradient, sizes.n);
    shapes.expectShape("crossEntropy's logSumExp", logSumExp, sizes.n);
    const result = crossEntropyBackward(float(gradient), float(logits), data, float(logSumExp), sizes);
    return this.#keep(result, logits.shape);
  }

  headLoss(x: Tensor, weight: Tensor, targets: Tensor, gradients: boolean): HeadLoss {
    const logits = this.linear(x, weight, null, 'outIn');
    const { losses, logSumExp } = this.crossEntropy(logits, targets);
    if (!gradients) return { losses, x: null, weight: null };
    const ones = this.#keep(new Float64Array(x.shape[0]).fill(1), losses.shape);
    const slopes = this.crossEntropyBackward(ones, logits, targets, logSumExp);
    const back = this.linearBackward(slopes, x, weight, false, 'outIn');
    return { losses, x: back.x, weight: back.weight };
  }

  rows(x: Tensor, first: number, count: number): Tensor {
    const { c } = shapes.rowSizes("rows' x", x, first, count);
    return this.#keep(float(x).slice(first * c, (first + count) * c), [count, c]);
  }

  writeRows(target: Tensor, first: number, x: Tensor): void {
    const [count] = shapes.matrix("writeRows' x", x);
    const { c } = shapes.rowSizes("writeRows' target", target, first, count);
    shapes.expectShape("writeRows' x", x, count, c);
    float(target).set(float(x), first * c);
  }

  #keep(data: Float64Array, shape: Shape): Tensor {
    const tensor = new FloatTensor(this.#serial++, data, shape);
    this.#live.push(tensor);
    return tensor;
  }
}

function float(tensor: Tensor): Float64Array {
  if (!(tensor instanceof FloatTensor)) throw new KernelError('a tensor of indices or of another backend');
  if (!tensor.alive) throw new KernelError('the tensor was released');
  return tensor.data;
}

function index(tensor: Tensor): IndexTensor {
  if (!(tensor instanceof IndexTensor)) throw new KernelError('not a tensor of indices of this backend');
  if (!tensor.alive) throw new KernelError('the tensor was released');
  return tensor;
}
