import { cpus } from 'node:os';
import { checkDropoutPlace, DROPOUT, dropoutScale, dropoutThreshold } from '../../numeric/index.js';
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
import { CpuTensor, IndexTensor } from './arena.js';
import { attention, attentionBackward } from './attention.js';
import { type CpuOptions, Device } from './device.js';
import type { WasmKernels } from './module.js';
import { plain } from './products.js';
import type { Argument } from './recording.js';
import { RopeTables } from './rope-tables.js';

/** Logits that the head keeps at once: 64 MB. */
const MAXIMUM_LOGITS = 2 ** 24;

/**
 * Kernels over one WebAssembly memory: SIMD in WebAssembly, and matrix products in native code where the library is
 * there and was measured to be faster. The order of all operations follows from shapes and choices alone.
 *
 * @throws KernelError where `maximumBytes` is out of range or `choices` is not what `choices()` gives, and later where
 *   the tensors do not fit
 */
export async function createCpuKernels(options: CpuOptions = {}): Promise<Kernels> {
  return new CpuKernels(options);
}

/** Records and plans programs like `createCpuKernels`, but has no memory and computes nothing: what would a run need? */
export function createCpuPlanner(): Kernels {
  return new CpuKernels({}, true);
}

const activations = {
  gelu_new: { forward: 'geluTanh', backward: 'geluTanhBackward' },
  gelu: { forward: 'gelu', backward: 'geluBackward' },
  silu: { forward: 'silu', backward: 'siluBackward' },
} as const satisfies Record<ActivationKind, { forward: keyof WasmKernels; backward: keyof WasmKernels }>;

class CpuKernels implements Kernels {
  readonly info: BackendInfo;
  readonly #device: Device;
  readonly #ropeTables = new RopeTables();

  constructor(options: CpuOptions, dry = false) {
    this.#device = new Device(options, dry);
    const { relaxed, native } = this.#device;
    this.info = {
      backend: 'cpu',
      mode: `wasm-${relaxed ? 'relaxed-' : ''}simd${native ? '+native' : ''}`,
      device: cpus()[0]?.model.trim() ?? process.arch,
      reproducible: !relaxed && !native,
    };
  }

  tensor(data: Float32Array | Float64Array, shape: Shape): Tensor {
    shapes.checkShape(shape, data.length);
    const tensor = this.#device.arena.make(shape);
    this.#device.arena.write(tensor, data);
    return tensor;
  }

  indices(data: Int32Array): Tensor {
    const tensor = this.#device.arena.makeIndex([data.length], shapes.rangeOf(data));
    this.#device.arena.writeIndices(tensor, data);
    return tensor;
  }

  zeros(shape: Shape): Tensor {
    shapes.checkShape(shape);
    const tensor = this.#device.make(shape);
    this.#device.host([tensor], () => this.#device.arena.clear(tensor));
    return tensor;
  }

  write(target: Tensor, data: Float32Array | Float64Array): void {
    shapes.checkShape(target.shape, data.length);
    this.#device.arena.write(float(target), data);
  }

  writeIndices(target: Tensor, data: Int32Array): void {
    shapes.checkShape(target.shape, data.length);
    const tensor = index(target);
    tensor.replace(shapes.rangeOf(data));
    this.#device.arena.writeIndices(tensor, data);
  }

  async read(tensor: Tensor): Promise<Float32Array> {
    this.#device.notRecording();
    const { offset } = tensor.type === 'index' ? index(tensor) : float(tensor);
    const first = offset / 4;
    const end = first + shapes.sizeOf(tensor.shape);
    if (tensor.type === 'index') return Float32Array.from(this.#device.arena.integers.subarray(first, end));
    return this.#device.arena.floats.slice(first, end);
  }

  readInto(tensor: Tensor, target: Float32Array): null {
    this.#device.notRecording();
    shapes.checkShape(tensor.shape, target.length);
    const first = float(tensor).offset / 4;
    target.set(this.#device.arena.floats.subarray(first, first + target.length));
    return null;
  }

  mark(): Mark {
    return this.#device.arena.mark();
  }

  release(mark: Mark): void {
    this.#device.notRecording();
    this.#device.arena.release(mark);
  }

  async dispose(): Promise<void> {
    this.#device.arena.release(0);
  }

  compile<T>(build: () => T): Program<T> {
    return this.#device.compile(build);
  }

  hook(tensors: readonly Tensor[], then: () => void): void {
    this.#device.host(tensors.map(float), then);
  }

  choices(): string {
    return this.#device.choices.text();
  }

  embedding(table: Tensor, ids: Tensor): Tensor {
    const [rows, c] = shapes.matrix("embedding's table", table);
    const from = index(ids);
    from.demand('embedding', 0, rows);
    const n = ids.shape[0];
    const out = this.#device.make([n, c]);
    this.#device.do(this.#device.wasm.embedding, float(table), from, out, n, c);
    return out;
  }

  embeddingBackward(gradient: Tensor, ids: Tensor, rows: number): Tensor {
    const from = index(ids);
    const n = ids.shape[0];
    shapes.expectShape("embedding's gradient", gradient, n, null);
    from.demand('embedding', 0, rows);
    const c = gradient.shape[1];
    const out = this.#device.make([rows, c]);
    this.#device.do(this.#device.wasm.embeddingBackward, float(gradient), from, out, n, c, rows);
    return out;
  }

  linear(x: Tensor, weight: Tensor, bias: Tensor | null, layout: WeightLayout): Tensor {
    const { n, k, m } = shapes.linearSizes(x, weight, bias, layout);
    const out = this.#device.make([n, m]);
    this.#device.product({
      ...{ n, m, k, a: float(x), transA: false, b: float(weight), transB: layout === 'outIn', out },
      ...(bias === null ? plain : { added: 'row', from: float(bias) }),
    });
    return out;
  }

  linearBackward(gradient: Tensor, x: Tensor, weight: Tensor, hasBias: boolean, layout: WeightLayout) {
    const { n, k, m } = shapes.linearSizes(x, weight, null, layout);
    shapes.expectShape("linear's gradient", gradient, n, m);
    const [g, a, w] = [gradient, x, weight].map(float);
    const dx = this.#device.make([n, k]);
    const dw = this.#device.make(weight.shape);
    const db = hasBias ? this.#device.make([m]) : null;
    const inOut = layout === 'inOut';
    this.#device.product({ n, m: k, k: m, a: g, transA: false, b: w, transB: inOut, out: dx, ...plain });
    const [first, second] = inOut ? [a, g] : [g, a];
    const [rows, columns] = weight.shape;
    this.#device.product({
      n: rows,
      m: columns,
      k: n,
      a: first,
      transA: true,
      b: second,
      transB: false,
      out: dw,
      ...plain,
    });
    if (db) this.#device.do(this.#device.wasm.sumRows, n, m, g, db);
    return { x: dx, weight: dw, bias: db };
  }

  layerNorm(x: Tensor, weight: Tensor, bias: Tensor, epsilon: number) {
    const { n, c } = shapes.normSizes('layerNorm', x, [weight, bias]);
    const out = this.#device.make(x.shape);
    const mean = this.#device.make([n]);
    const rstd = this.#device.make([n]);
    const inputs = [x, weight, bias].map(float);
    this.#device.do(this.#device.wasm.layerNorm, ...inputs, out, mean, rstd, n, c, epsilon);
    return { out, mean, rstd };
  }

  layerNormBackward(gradient: Tensor, x: Tensor, weight: Tensor, mean: Tensor, rstd: Tensor) {
    shapes.normSizes('layerNorm', x, [weight], [mean, rstd]);
    const bias = this.#device.make(weight.shape);
    return { ...this.#normBackward(gradient, x, weight, float(mean), rstd, bias), bias };
  }

  rmsNorm(x: Tensor, weight: Tensor, epsilon: number) {
    const { n, c } = shapes.normSizes('rmsNorm', x, [weight]);
    const out = this.#device.make(x.shape);
    const rstd = this.#device.make([n]);
    this.#device.do(this.#device.wasm.rmsNorm, float(x), float(weight), out, rstd, n, c, epsilon);
    return { out, rstd };
  }

  rmsNormBackward(gradient: Tensor, x: Tensor, weight: Tensor, rstd: Tensor) {
    shapes.normSizes('rmsNorm', x, [weight], [rstd]);
    return this.#normBackward(gradient, x, weight, 0, rstd, 0);
  }

  #normBackward(gradient: Tensor, x: Tensor, weight: Tensor, mean: Argument, rstd: Tensor, dbias: Argument) {
    shapes.sameShape("the norm's gradient", x, gradient);
    const [n, c] = x.shape;
    const dx = this.#device.make(x.shape);
    const dw = this.#device.make(weight.shape);
    const inputs = [gradient, x, weight].map(float);
    this.#device.do(this.#device.wasm.normBackward, ...inputs, mean, float(rstd), dx, dw, dbias, n, c);
    return { x: dx, weight: dw };
  }

  activation(x: Tensor, kind: ActivationKind): Tensor {
    const out = this.#device.make(x.shape);
    this.#device.do(this.#device.wasm[activations[kind].forward], float(x), out, out.bytes);
    return out;
  }

  activationBackward(gradient: Tensor, x: Tensor, kind: ActivationKind): Tensor {
    shapes.sameShape("activation's gradient", x, gradient);
    const out = this.#device.make(x.shape);
    this.#device.do(this.#device.wasm[activations[kind].backward], float(gradient), float(x), out, out.bytes);
    return out;
  }

  swiglu(gate: Tensor, up: Tensor): Tensor {
    shapes.sameShape("swiglu's up", gate, up);
    const out = this.#device.make(gate.shape);
    this.#device.do(this.#device.wasm.swiglu, float(gate), float(up), out, out.bytes);
    return out;
  }

  swigluBackward(gradient: Tensor, gate: Tensor, up: Tensor) {
    shapes.sameShape("swiglu's up", gate, up);
    shapes.sameShape("swiglu's gradient", gate, gradient);
    const dgate = this.#device.make(gate.shape);
    const dup = this.#device.make(gate.shape);
    const inputs = [gradient, gate, up].map(float);
    this.#device.do(this.#device.wasm.swigluBackward, ...inputs, dgate, dup, dup.bytes);
    return { gate: dgate, up: dup };
  }

  rope(x: Tensor, positions: Tensor, options: RopeOptions, inverse: boolean): Tensor {
    const { n } = shapes.ropeSizes(x, positions, options);
    const at = index(positions);
    const out = this.#device.make(x.shape);
    if (n === 0) return out;
    const { heads, headDim } = options;
    const half = headDim / 2;
    const table = () => this.#ropeTables.rows(options, at.range.least, at.range.greatest);
    const rows = at.range.greatest - at.range.least + 1;
    this.#device.temporarily(() => {
      const cosines = this.#device.make([rows, half]);
      const sines = this.#device.make([rows, half]);
      this.#device.host([cosines, sines], () => {
        const values = table();
        shapes.checkShape(cosines.shape, values.cosines.length);
        this.#device.arena.write(cosines, values.cosines);
        this.#device.arena.write(sines, values.sines);
      });
      const sizes = [n, heads, half, () => at.range.least, inverse ? -1 : 1];
      this.#device.do(this.#device.wasm.rope, float(x), at, cosines, sines, out, ...sizes);
    });
    return out;
  }

  attention(qkv: Tensor, shape: AttentionShape) {
    const sizes = shapes.attentionSizes(qkv, shape);
    const { batch, queries, heads, headDim } = sizes;
    const out = this.#device.make([batch * queries, heads * headDim]);
    const logSumExp = this.#device.make([batch, heads, queries]);
    attention(this.#device, float(qkv), out, logSumExp, sizes);
    return { out, logSumExp };
  }

  attentionBackward(
    gradient: Tensor,
    qkv: Tensor,
    out: Tensor,
    logSumExp: Tensor,
    shape: AttentionShape,
  ): Tensor {
    const sizes = shapes.attentionBackwardSizes(gradient, qkv, out, logSumExp, shape);
    const [g, from, attended, sums] = [gradient, qkv, out, logSumExp].map(float);
    const result = this.#device.make(qkv.shape);
    attentionBackward(this.#device, g, from, attended, sums, result, sizes);
    return result;
  }

  add(a: Tensor, b: Tensor): Tensor {
    shapes.sameShape("add's second", a, b);
    const out = this.#device.make(a.shape);
    this.#device.do(this.#device.wasm.add, float(a), float(b), out, out.bytes);
    return out;
  }

  cachedAttention(qkv: Tensor, cache: Tensor, shape: CacheShape): Tensor {
    const [from, rows] = [qkv, cache].map(float);
    if (!this.#device.recording && shape.first === 0) {
      this.writeRows(cache, 0, qkv);
      return this.attention(qkv, shape).out;
    }
    const { width } = shapes.cachedAttentionSizes(qkv, cache, shape);
    const [n] = qkv.shape;
    const { heads, kvHeads, headDim } = shape;
    const out = this.#device.make([n, heads * headDim]);
    const sums = this.#device.make([heads, n]);
    const bytes = 4 * width;
    const end = () => rows.offset + bytes * shape.first;
    this.#device.host([], () => shapes.cachedAttentionSizes(qkv, cache, shape));
    this.#device.do(this.#device.wasm.copyRows, from, bytes, end, bytes, n, bytes);
    this.#device.temporarily(() => {
      const scratch = this.#device.make([this.#device.wasm.attentionScratch(cache.shape[0], headDim) / 4]);
      const sizes = [1, () => shape.time, () => shape.first, heads, kvHeads, headDim];
      this.#device.do(this.#device.wasm.attention, rows, out, sums, scratch, ...sizes);
    });
    return out;
  }

  accumulate(target: Tensor, x: Tensor): void {
    shapes.sameShape("accumulate's x", target, x);
    this.#device.do(this.#device.wasm.accumulate, float(target), float(x), float(x).bytes);
  }

  copy(target: Tensor, x: Tensor): void {
    shapes.sameShape("copy's x", target, x);
    const { bytes } = float(x);
    this.#device.do(this.#device.wasm.copyRows, float(x), bytes, float(target), bytes, 1, bytes);
  }

  concat(parts: readonly Tensor[]): Tensor {
    const { n, columns } = shapes.concatSizes(parts);
    const width = columns.reduce((sum, extent) => sum + extent, 0);
    const out = this.#device.make([n, width]);
    let plus = 0;
    for (const [i, tensor] of parts.map(float).entries()) {
      const bytes = 4 * columns[i];
      this.#device.do(this.#device.wasm.copyRows, tensor, bytes, { tensor: out, plus }, 4 * width, n, bytes);
      plus += bytes;
    }
    return out;
  }

  split(x: Tensor, columns: readonly number[]): Tensor[] {
    const { n, width } = shapes.splitSizes(x, columns);
    const tensor = float(x);
    let plus = 0;
    return columns.map((c) => {
      const part = this.#device.make([n, c]);
      this.#device.do(this.#device.wasm.copyRows, { tensor, plus }, 4 * width, part, 4 * c, n, 4 * c);
      plus += 4 * c;
      return part;
    });
  }

  dropout(x: Tensor, probability: number, place: DropoutKey): Tensor {
    const out = this.#device.make(x.shape);
    const key = [() => place.seed, () => place.step, () => place.microBatch, () => place.layer];
    const rest = [DROPOUT, dropoutThreshold(probability), dropoutScale(probability)];
    this.#device.host([], () => checkDropoutPlace(place));
    this.#device.do(this.#device.wasm.dropout, float(x), out, out.bytes, ...key, ...rest);
    return out;
  }

  crossEntropy(logits: Tensor, targets: Tensor) {
    const { n, v } = shapes.crossEntropySizes(logits, targets);
    const wanted = index(targets);
    wanted.demand('crossEntropy', -1, v);
    const losses = this.#device.make([n]);
    const logSumExp = this.#device.make([n]);
    this.#device.do(this.#device.wasm.crossEntropy, float(logits), wanted, losses, logSumExp, n, v);
    return { losses, logSumExp };
  }

  crossEntropyBackward(gradient: Tensor, logits: Tensor, targets: Tensor, logSumExp: Tensor): Tensor {
    const { n, v } = shapes.crossEntropySizes(logits, targets);
    const wanted = index(targets);
    wanted.demand('crossEntropy', -1, v);
    shapes.expectShape("crossEntropy's gradient", gradient, n);
    shapes.expectShape("crossEntropy's logSumExp", logSumExp, n);
    const out = this.#device.make(logits.shape);
    const [g, from, sums] = [gradient, logits, logSumExp].map(float);
    this.#device.do(this.#device.wasm.crossEntropyBackward, g, from, wanted, sums, out, n, v);
    return out;
  }

  headLoss(x: Tensor, weight: Tensor, targets: Tensor, gradients: boolean): HeadLoss {
    const { n, k: c, m: v } = shapes.linearSizes(x, weight, null, 'outIn');
    shapes.expectShape("headLoss's targets", targets, n);
    const wanted = index(targets);
    wanted.demand('headLoss', -1, v);
    const [hidden, head] = [float(x), float(weight)];
    const losses = this.#device.make([n]);
    const dx = gradients ? this.#device.make(x.shape) : null;
    const dw = gradients ? this.#device.make(weight.shape) : null;
    const rows = Math.min(n, headRows(v));
    this.#device.temporarily(() => {
      const logits = this.#device.make([rows, v]);
      const logSumExp = this.#device.make([rows]);
      for (let first = 0; first < n; first += rows) {
        const count = Math.min(rows, n - first);
        const row = (tensor: CpuTensor, width: number) => ({ tensor, plus: 4 * first * width });
        const a = row(hidden, c);
        this.#device.product({
          n: count,
          m: v,
          k: c,
          a,
          transA: false,
          b: head,
          transB: true,
          out: logits,
          ...plain,
        });
        const loss = [logits, row(wanted, 1), row(losses, 1), logSumExp, count, v];
        if (dx === null || dw === null) {
          this.#device.do(this.#device.wasm.crossEntropy, ...loss);
          continue;
        }
        this.#device.do(this.#device.wasm.lossGradient, ...loss);
        const back = { a: logits, transB: false };
        this.#device.product({
          ...back,
          n: count,
          m: c,
          k: v,
          transA: false,
          b: head,
          out: row(dx, c),
          ...plain,
        });
        const sum = first === 0 ? plain : { added: 'matrix' as const, from: dw };
        this.#device.product({ ...back, n: v, m: c, k: count, transA: true, b: a, out: dw, ...sum });
      }
    });
    return { losses, x: dx, weight: dw };
  }

  rows(x: Tensor, first: number, count: number): Tensor {
    const { c } = shapes.rowSizes("rows' x", x, first, count);
    const out = this.#device.make([count, c]);
    this.#device.do(
      this.#device.wasm.copyRows,
      { tensor: float(x), plus: 4 * first * c },
      4 * c,
      out,
      4 * c,
      count,
      4 * c,
    );
    return out;
  }

  writeRows(target: Tensor, first: number, x: Tensor): void {
    const [count] = shapes.matrix("writeRows' x", x);
    const { c } = shapes.rowSizes("writeRows' target", target, first, count);
    shapes.expectShape("writeRows' x", x, count, c);
    const to = { tensor: float(target), plus: 4 * first * c };
    this.#device.do(this.#device.wasm.copyRows, float(x), 4 * c, to, 4 * c, count, 4 * c);
  }
}

/** Rows of logits that are kept at once. It decides the order of sums, so it follows from the vocabulary alone. */
function headRows(vocab: number): number {
  return Math.max(64, 64 * Math.floor(MAXIMUM_LOGITS / vocab / 64));
}

function float(tensor: Tensor): CpuTensor {
  if (!(tensor instanceof CpuTensor) || tensor.type !== 'float') {
    throw new KernelError('a tensor of indices or of another backend stands where a cpu tensor should');
  }
  if (!tensor.alive) throw new KernelError('the tensor was released');
  return tensor;
}

function index(tensor: Tensor): IndexTensor {
  if (!(tensor instanceof IndexTensor)) {
    throw new KernelError("the tensor holds no indices of the cpu backend: make it with 'indices'");
  }
  if (!tensor.alive) throw new KernelError('the tensor was released');
  return tensor;
}
