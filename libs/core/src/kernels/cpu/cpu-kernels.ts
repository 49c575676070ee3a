import { cpus } from 'node:os';
import { checkDropoutPlace, DROPOUT, dropoutScale, dropoutThreshold } from '../../numeric/index.js';
import {
  type ActivationKind,
  type AttentionShape,
  type BackendInfo,
  type DropoutKey,
  KernelError,
  type Kernels,
  type Mark,
  type RopeOptions,
  type Shape,
  type Tensor,
  type WeightLayout,
} from '../kernels.js';
import * as shapes from '../shapes.js';
import { Arena, CpuTensor } from './arena.js';
import { instantiate, type WasmKernels } from './module.js';
import { RopeTables } from './rope-tables.js';

export interface CpuOptions {
  /** Bit-identical on every processor; the kernels of today always are. */
  readonly reproducible?: boolean;
  /** Upper limit of the memory for tensors, at most 4 GiB. */
  readonly maximumBytes?: number;
}

/**
 * SIMD kernels over one WebAssembly memory: plain float32 operations whose order follows from the shapes alone.
 *
 * @throws KernelError where `maximumBytes` is out of range, and later where the tensors do not fit into it
 */
export async function createCpuKernels(options: CpuOptions = {}): Promise<Kernels> {
  return new CpuKernels(options.maximumBytes);
}

const activations = {
  gelu_new: { forward: 'geluTanh', backward: 'geluTanhBackward' },
  gelu: { forward: 'gelu', backward: 'geluBackward' },
  silu: { forward: 'silu', backward: 'siluBackward' },
} as const satisfies Record<ActivationKind, { forward: keyof WasmKernels; backward: keyof WasmKernels }>;

class CpuKernels implements Kernels {
  readonly info: BackendInfo = {
    backend: 'cpu',
    mode: 'wasm-simd',
    device: cpus()[0]?.model.trim() ?? process.arch,
    reproducible: true,
  };
  readonly #arena: Arena;
  readonly #wasm: WasmKernels;
  readonly #ropeTables = new RopeTables();

  constructor(maximumBytes: number | undefined) {
    this.#arena = new Arena(maximumBytes);
    this.#wasm = instantiate(this.#arena.memory);
    this.#arena.reserve(this.#wasm.arenaBase());
  }

  tensor(data: Float32Array | Float64Array, shape: Shape): Tensor {
    shapes.checkShape(shape, data.length);
    const tensor = this.#arena.make(shape);
    this.#arena.floats.set(data, tensor.offset / 4);
    return tensor;
  }

  indices(data: Int32Array): Tensor {
    const tensor = this.#arena.make([data.length], 'index', shapes.rangeOf(data));
    this.#arena.integers.set(data, tensor.offset / 4);
    return tensor;
  }

  zeros(shape: Shape): Tensor {
    shapes.checkShape(shape);
    const tensor = this.#arena.make(shape);
    this.#arena.floats.fill(0, tensor.offset / 4, tensor.end / 4);
    return tensor;
  }

  write(target: Tensor, data: Float32Array | Float64Array): void {
    shapes.checkShape(target.shape, data.length);
    this.#arena.floats.set(data, float(target).offset / 4);
  }

  async read(tensor: Tensor): Promise<Float32Array> {
    const { offset } = tensor.type === 'index' ? index(tensor) : float(tensor);
    const first = offset / 4;
    const end = first + shapes.sizeOf(tensor.shape);
    if (tensor.type === 'index') return Float32Array.from(this.#arena.integers.subarray(first, end));
    return this.#arena.floats.slice(first, end);
  }

  async readInto(tensor: Tensor, target: Float32Array): Promise<void> {
    shapes.checkShape(tensor.shape, target.length);
    const first = float(tensor).offset / 4;
    target.set(this.#arena.floats.subarray(first, first + target.length));
  }

  mark(): Mark {
    return this.#arena.mark();
  }

  release(mark: Mark): void {
    this.#arena.release(mark);
  }

  async dispose(): Promise<void> {
    this.#arena.release(0);
  }

  embedding(table: Tensor, ids: Tensor): Tensor {
    const [rows, c] = shapes.matrix("embedding's table", table);
    const { offset, range } = index(ids);
    shapes.checkRange('embedding', range, 0, rows);
    const n = ids.shape[0];
    const from = float(table);
    const out = this.#arena.make([n, c]);
    this.#wasm.embedding(from.offset, offset, out.offset, n, c);
    return out;
  }

  embeddingBackward(gradient: Tensor, ids: Tensor, rows: number): Tensor {
    const { offset, range } = index(ids);
    const n = ids.shape[0];
    shapes.expectShape("embedding's gradient", gradient, n, null);
    shapes.checkRange('embedding', range, 0, rows);
    const c = gradient.shape[1];
    const from = float(gradient);
    const out = this.#arena.make([rows, c]);
    this.#wasm.embeddingBackward(from.offset, offset, out.offset, n, c, rows);
    return out;
  }

  linear(x: Tensor, weight: Tensor, bias: Tensor | null, layout: WeightLayout): Tensor {
    const { n, k, m } = shapes.linearSizes(x, weight, bias, layout);
    const [a, b, start] = [float(x), float(weight), bias ? float(bias).offset : 0];
    const out = this.#arena.make([n, m]);
    const [row, column] = layout === 'inOut' ? [m, 1] : [1, k];
    this.#wasm.matmul(n, m, k, a.offset, k, 1, b.offset, row, column, out.offset, m, start, 0);
    return out;
  }

  linearBackward(gradient: Tensor, x: Tensor, weight: Tensor, hasBias: boolean, layout: WeightLayout) {
    const { n, k, m } = shapes.linearSizes(x, weight, null, layout);
    shapes.expectShape("linear's gradient", gradient, n, m);
    const [g, a, w] = [float(gradient).offset, float(x).offset, float(weight).offset];
    const dx = this.#arena.make([n, k]);
    const dw = this.#arena.make(weight.shape);
    const db = hasBias ? this.#arena.make([m]) : null;
    const wasm = this.#wasm;
    if (layout === 'inOut') {
      wasm.matmul(n, k, m, g, m, 1, w, 1, m, dx.offset, k, 0, 0);
      wasm.matmul(k, m, n, a, 1, k, g, m, 1, dw.offset, m, 0, 0);
    } else {
      wasm.matmul(n, k, m, g, m, 1, w, k, 1, dx.offset, k, 0, 0);
      wasm.matmul(m, k, n, g, 1, m, a, k, 1, dw.offset, k, 0, 0);
    }
    if (db) wasm.sumRows(n, m, g, db.offset);
    return { x: dx, weight: dw, bias: db };
  }

  layerNorm(x: Tensor, weight: Tensor, bias: Tensor, epsilon: number) {
    const { n, c } = shapes.normSizes('layerNorm', x, [weight, bias]);
    const [from, scale, shift] = [float(x).offset, float(weight).offset, float(bias).offset];
    const out = this.#arena.make(x.shape);
    const mean = this.#arena.make([n]);
    const rstd = this.#arena.make([n]);
    this.#wasm.layerNorm(from, scale, shift, out.offset, mean.offset, rstd.offset, n, c, epsilon);
    return { out, mean, rstd };
  }

  layerNormBackward(gradient: Tensor, x: Tensor, weight: Tensor, mean: Tensor, rstd: Tensor) {
    shapes.normSizes('layerNorm', x, [weight], [mean, rstd]);
    const bias = this.#arena.make(weight.shape);
    return { ...this.#normBackward(gradient, x, weight, float(mean).offset, rstd, bias.offset), bias };
  }

  rmsNorm(x: Tensor, weight: Tensor, epsilon: number) {
    const { n, c } = shapes.normSizes('rmsNorm', x, [weight]);
    const [from, scale] = [float(x).offset, float(weight).offset];
    const out = this.#arena.make(x.shape);
    const rstd = this.#arena.make([n]);
    this.#wasm.rmsNorm(from, scale, out.offset, rstd.offset, n, c, epsilon);
    return { out, rstd };
  }

  rmsNormBackward(gradient: Tensor, x: Tensor, weight: Tensor, rstd: Tensor) {
    shapes.normSizes('rmsNorm', x, [weight], [rstd]);
    return this.#normBackward(gradient, x, weight, 0, rstd, 0);
  }

  #normBackward(gradient: Tensor, x: Tensor, weight: Tensor, mean: number, rstd: Tensor, dbias: number) {
    shapes.sameShape("the norm's gradient", x, gradient);
    const [n, c] = x.shape;
    const [g, from, scale, rstds] = [gradient, x, weight, rstd].map((tensor) => float(tensor).offset);
    const dx = this.#arena.make(x.shape);
    const dw = this.#arena.make(weight.shape);
    this.#wasm.normBackward(g, from, scale, mean, rstds, dx.offset, dw.offset, dbias, n, c);
    return { x: dx, weight: dw };
  }

  activation(x: Tensor, kind: ActivationKind): Tensor {
    const from = float(x);
    const out = this.#arena.make(x.shape);
    this.#wasm[activations[kind].forward](from.offset, out.offset, out.bytes);
    return out;
  }

  activationBackward(gradient: Tensor, x: Tensor, kind: ActivationKind): Tensor {
    shapes.sameShape("activation's gradient", x, gradient);
    const [g, from] = [float(gradient), float(x)];
    const out = this.#arena.make(x.shape);
    this.#wasm[activations[kind].backward](g.offset, from.offset, out.offset, out.bytes);
    return out;
  }

  swiglu(gate: Tensor, up: Tensor): Tensor {
    shapes.sameShape("swiglu's up", gate, up);
    const [a, b] = [float(gate), float(up)];
    const out = this.#arena.make(gate.shape);
    this.#wasm.swiglu(a.offset, b.offset, out.offset, out.bytes);
    return out;
  }

  swigluBackward(gradient: Tensor, gate: Tensor, up: Tensor) {
    shapes.sameShape("swiglu's up", gate, up);
    shapes.sameShape("swiglu's gradient", gate, gradient);
    const [g, a, b] = [float(gradient), float(gate), float(up)];
    const dgate = this.#arena.make(gate.shape);
    const dup = this.#arena.make(gate.shape);
    this.#wasm.swigluBackward(g.offset, a.offset, b.offset, dgate.offset, dup.offset, dup.bytes);
    return { gate: dgate, up: dup };
  }

  rope(x: Tensor, positions: Tensor, options: RopeOptions, inverse: boolean): Tensor {
    const { n } = shapes.ropeSizes(x, positions, options);
    const from = float(x);
    const { offset, range } = index(positions);
    const out = this.#arena.make(x.shape);
    if (n === 0) return out;
    const { least, greatest } = range;
    const { cosines, sines } = this.#ropeTables.rows(options, least, greatest);
    const table = this.#arena.scratch(cosines.byteLength + sines.byteLength);
    this.#arena.floats.set(cosines, table / 4);
    this.#arena.floats.set(sines, table / 4 + cosines.length);
    const sineTable = table + cosines.byteLength;
    const { heads, headDim } = options;
    const sign = inverse ? -1 : 1;
    this.#wasm.rope(from.offset, offset, table, sineTable, out.offset, n, heads, headDim / 2, least, sign);
    return out;
  }

  attention(qkv: Tensor, shape: AttentionShape) {
    const { batch, time, first, queries, heads, kvHeads, headDim } = shapes.attentionSizes(qkv, shape);
    const from = float(qkv);
    const out = this.#arena.make([batch * queries, heads * headDim]);
    const logSumExp = this.#arena.make([batch, heads, queries]);
    const scratch = this.#arena.scratch(this.#wasm.attentionScratch(time));
    const pointers = [from.offset, out.offset, logSumExp.offset, scratch];
    this.#wasm.attention(...pointers, batch, time, first, heads, kvHeads, headDim);
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
    const { batch, time, heads, kvHeads, headDim } = sizes;
    const pointers = [gradient, qkv, out, logSumExp].map((tensor) => float(tensor).offset);
    const result = this.#arena.make(qkv.shape);
    const scratch = this.#arena.scratch(this.#wasm.attentionScratch(time));
    this.#wasm.attentionBackward(...pointers, result.offset, scratch, batch, time, heads, kvHeads, headDim);
    return result;
  }

  add(a: Tensor, b: Tensor): Tensor {
    shapes.sameShape("add's second", a, b);
    const [first, second] = [float(a), float(b)];
    const out = this.#arena.make(a.shape);
    this.#wasm.add(first.offset, second.offset, out.offset, out.bytes);
    return out;
  }

  concat(parts: readonly Tensor[]): Tensor {
    const { n, columns } = shapes.concatSizes(parts);
    const sources = parts.map(float);
    const width = columns.reduce((sum, extent) => sum + extent, 0);
    const out = this.#arena.make([n, width]);
    let to = out.offset;
    for (const [i, { offset }] of sources.entries()) {
      const bytes = 4 * columns[i];
      this.#wasm.copyRows(offset, bytes, to, 4 * width, n, bytes);
      to += bytes;
    }
    return out;
  }

  split(x: Tensor, columns: readonly number[]): Tensor[] {
    const { n, width } = shapes.splitSizes(x, columns);
    let from = float(x).offset;
    return columns.map((c) => {
      const part = this.#arena.make([n, c]);
      this.#wasm.copyRows(from, 4 * width, part.offset, 4 * c, n, 4 * c);
      from += 4 * c;
      return part;
    });
  }

  dropout(x: Tensor, probability: number, place: DropoutKey): Tensor {
    checkDropoutPlace(place);
    const { seed, step, microBatch, layer } = place;
    const from = float(x);
    const out = this.#arena.make(x.shape);
    const key = [seed, step, microBatch, layer, DROPOUT, dropoutThreshold(probability)];
    this.#wasm.dropout(from.offset, out.offset, out.bytes, ...key, dropoutScale(probability));
    return out;
  }

  crossEntropy(logits: Tensor, targets: Tensor) {
    const { offset, range } = index(targets);
    const { n, v } = shapes.crossEntropySizes(logits, targets, range);
    const from = float(logits);
    const losses = this.#arena.make([n]);
    const logSumExp = this.#arena.make([n]);
    this.#wasm.crossEntropy(from.offset, offset, losses.offset, logSumExp.offset, n, v);
    return { losses, logSumExp };
  }

  crossEntropyBackward(gradient: Tensor, logits: Tensor, targets: Tensor, logSumExp: Tensor): Tensor {
    const { offset, range } = index(targets);
    const { n, v } = shapes.crossEntropySizes(logits, targets, range);
    shapes.expectShape("crossEntropy's gradient", gradient, n);
    shapes.expectShape("crossEntropy's logSumExp", logSumExp, n);
    const [g, from, sums] = [float(gradient).offset, float(logits).offset, float(logSumExp).offset];
    const out = this.#arena.make(logits.shape);
    this.#wasm.crossEntropyBackward(g, from, offset, sums, out.offset, n, v);
    return out;
  }

  rows(x: Tensor, first: number, count: number): Tensor {
    const { c } = shapes.rowSizes("rows' x", x, first, count);
    const from = float(x).offset + 4 * first * c;
    const out = this.#arena.make([count, c]);
    this.#wasm.copyRows(from, 4 * c, out.offset, 4 * c, count, 4 * c);
    return out;
  }

  writeRows(target: Tensor, first: number, x: Tensor): void {
    const [count] = shapes.matrix("writeRows' x", x);
    const { c } = shapes.rowSizes("writeRows' target", target, first, count);
    shapes.expectShape("writeRows' x", x, count, c);
    this.#wasm.copyRows(float(x).offset, 4 * c, float(target).offset + 4 * first * c, 4 * c, count, 4 * c);
  }
}

function float(tensor: Tensor): CpuTensor {
  if (!(tensor instanceof CpuTensor) || tensor.type !== 'float') {
    throw new KernelError('a tensor of indices or of another backend stands where a cpu tensor should');
  }
  if (!tensor.alive) throw new KernelError('the tensor was released');
  return tensor;
}

function index(tensor: Tensor): { readonly offset: number; readonly range: shapes.IndexRange } {
  if (!(tensor instanceof CpuTensor) || tensor.range === null) {
    throw new KernelError("the tensor holds no indices of the cpu backend: make it with 'indices'");
  }
  if (!tensor.alive) throw new KernelError('the tensor was released');
  return { offset: tensor.offset, range: tensor.range };
}
