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
import { attention, attentionBackward } from './attention.js';
import { Device } from './device.js';
import { dropout } from './dropout.js';
import { accumulate, activation, activationBackward, add, swiglu, swigluBackward } from './elementwise.js';
import type { LaunchRecord } from './engine.js';
import type { Libraries } from './foreign.js';
import { linear, linearBackward } from './linear.js';
import { crossEntropy, crossEntropyBackward, headLoss } from './loss.js';
import { layerNorm, layerNormBackward, rmsNorm, rmsNormBackward } from './norm.js';
import { RopeTables } from './rope.js';
import { concat, embedding, embeddingBackward, rows, split } from './rows.js';
import { DeviceTensor } from './tape.js';

/** Every operation as gpu.js kernels on one device. */
export class GpuKernels implements Kernels {
  readonly info: BackendInfo;
  private readonly tables: RopeTables;
  private readonly made: { readonly serial: number; readonly tensor: DeviceTensor }[] = [];
  private serial = 0;
  private disposal: Promise<void> | null = null;

  private constructor(private readonly device: Device) {
    this.info = { backend: 'gpujs', mode: device.mode, device: device.description, reproducible: false };
    this.tables = new RopeTables(device);
  }

  /** @throws KernelError where a package, the adapter or the mode is missing. */
  static async create(mode: Device['mode'] | undefined, libraries?: Libraries): Promise<GpuKernels> {
    return new GpuKernels(await Device.open(mode, libraries));
  }

  /** Every kernel that ran so far, with the mode that gpu.js really ran it in. */
  get launched(): readonly Readonly<LaunchRecord>[] {
    return this.device.launched;
  }

  tensor(data: Float32Array | Float64Array, shape: Shape): Tensor {
    shapes.checkShape(shape, data.length);
    return this.keep(this.device.upload(data, shape));
  }

  indices(data: Int32Array): Tensor {
    return this.keep(this.device.uploadIndices(data));
  }

  zeros(shape: Shape): Tensor {
    return this.tensor(new Float32Array(shapes.sizeOf(shape)), shape);
  }

  write(target: Tensor, data: Float32Array | Float64Array): void {
    shapes.checkShape(target.shape, data.length);
    this.device.overwrite(this.floats(target), data);
  }

  writeIndices(target: Tensor, data: Int32Array): void {
    shapes.checkShape(target.shape, data.length);
    this.device.overwriteIndices(this.indexes(target), data);
  }

  async read(tensor: Tensor): Promise<Float32Array> {
    return this.device.read(this.own(tensor));
  }

  async readInto(tensor: Tensor, target: Float32Array): Promise<void> {
    shapes.checkShape(tensor.shape, target.length);
    await this.device.read(this.own(tensor), target);
  }

  compile<T>(build: () => T): Program<T> {
    return this.device.record(build, (result) => tensorsIn(result).map((tensor) => this.own(tensor)));
  }

  hook(tensors: readonly Tensor[], then: () => void): void {
    this.device.hook({ tensors: tensors.map((tensor) => this.own(tensor)), then });
  }

  choices(): string {
    return '';
  }

  mark(): Mark {
    return this.serial;
  }

  release(mark: Mark): void {
    const kept = this.made.findLastIndex(({ serial }) => serial < mark) + 1;
    this.device.release(this.made.splice(kept).map(({ tensor }) => tensor));
  }

  dispose(): Promise<void> {
    this.disposal ??= this.close();
    return this.disposal;
  }

  private async close(): Promise<void> {
    this.release(0);
    await this.device.close();
  }

  embedding(table: Tensor, ids: Tensor): Tensor {
    const [rows] = shapes.matrix("embedding's table", table);
    const index = this.indexes(ids);
    index.demand('embedding', 0, rows, this.device.recording);
    return this.keep(embedding(this.device, this.floats(table), index));
  }

  embeddingBackward(gradient: Tensor, ids: Tensor, rows: number): Tensor {
    const index = this.indexes(ids);
    shapes.expectShape("embedding's gradient", gradient, index.columns, null);
    index.demand('embedding', 0, rows, this.device.recording);
    return this.keep(embeddingBackward(this.device, this.floats(gradient), index, rows));
  }

  linear(x: Tensor, weight: Tensor, bias: Tensor | null, layout: WeightLayout): Tensor {
    shapes.linearSizes(x, weight, bias, layout);
    return this.keep(
      linear(this.device, this.floats(x), this.floats(weight), bias && this.floats(bias), layout),
    );
  }

  linearBackward(gradient: Tensor, x: Tensor, weight: Tensor, hasBias: boolean, layout: WeightLayout) {
    const { n, m } = shapes.linearSizes(x, weight, null, layout);
    shapes.expectShape("linear's gradient", gradient, n, m);
    const operands = [gradient, x, weight].map((tensor) => this.floats(tensor));
    const made = linearBackward(this.device, operands[0], operands[1], operands[2], hasBias, layout);
    return { x: this.keep(made.x), weight: this.keep(made.weight), bias: made.bias && this.keep(made.bias) };
  }

  layerNorm(x: Tensor, weight: Tensor, bias: Tensor, epsilon: number) {
    shapes.normSizes('layerNorm', x, [weight, bias]);
    return this.keepAll(
      layerNorm(this.device, this.floats(x), this.floats(weight), this.floats(bias), epsilon),
    );
  }

  layerNormBackward(gradient: Tensor, x: Tensor, weight: Tensor, mean: Tensor, rstd: Tensor) {
    shapes.normSizes('layerNorm', x, [weight], [mean, rstd]);
    shapes.sameShape("layerNorm's gradient", x, gradient);
    return this.keepAll(
      layerNormBackward(
        this.device,
        this.floats(gradient),
        this.floats(x),
        this.floats(weight),
        this.floats(mean),
        this.floats(rstd),
      ),
    );
  }

  rmsNorm(x: Tensor, weight: Tensor, epsilon: number) {
    shapes.normSizes('rmsNorm', x, [weight]);
    return this.keepAll(rmsNorm(this.device, this.floats(x), this.floats(weight), epsilon));
  }

  rmsNormBackward(gradient: Tensor, x: Tensor, weight: Tensor, rstd: Tensor) {
    shapes.normSizes('rmsNorm', x, [weight], [rstd]);
    shapes.sameShape("rmsNorm's gradient", x, gradient);
    return this.keepAll(
      rmsNormBackward(
        this.device,
        this.floats(gradient),
        this.floats(x),
        this.floats(weight),
        this.floats(rstd),
      ),
    );
  }

  activation(x: Tensor, kind: ActivationKind): Tensor {
    return this.keep(activation(this.device, this.floats(x), kind));
  }

  activationBackward(gradient: Tensor, x: Tensor, kind: ActivationKind): Tensor {
    shapes.sameShape("activation's gradient", x, gradient);
    return this.keep(activationBackward(this.device, this.floats(gradient), this.floats(x), kind));
  }

  swiglu(gate: Tensor, up: Tensor): Tensor {
    shapes.sameShape("swiglu's up", gate, up);
    return this.keep(swiglu(this.device, this.floats(gate), this.floats(up)));
  }

  swigluBackward(gradient: Tensor, gate: Tensor, up: Tensor) {
    shapes.sameShape("swiglu's up", gate, up);
    shapes.sameShape("swiglu's gradient", gate, gradient);
    return this.keepAll(
      swigluBackward(this.device, this.floats(gradient), this.floats(gate), this.floats(up)),
    );
  }

  rope(x: Tensor, positions: Tensor, options: RopeOptions, inverse: boolean): Tensor {
    shapes.ropeSizes(x, positions, options);
    const index = this.indexes(positions);
    index.demand('rope', 0, Number.POSITIVE_INFINITY, false);
    return this.keep(this.tables.rope(this.floats(x), index, options, inverse));
  }

  cachedAttention(qkv: Tensor, cache: Tensor, shape: CacheShape): Tensor {
    this.writeRows(cache, shape.first, qkv);
    return this.attention(shape.first === 0 ? qkv : cache, shape).out;
  }

  attention(qkv: Tensor, shape: AttentionShape) {
    return this.keepAll(attention(this.device, this.floats(qkv), shapes.attentionSizes(qkv, shape)));
  }

  attentionBackward(
    gradient: Tensor,
    qkv: Tensor,
    out: Tensor,
    logSumExp: Tensor,
    shape: AttentionShape,
  ): Tensor {
    const sizes = shapes.attentionBackwardSizes(gradient, qkv, out, logSumExp, shape);
    const [g, x, l] = [gradient, qkv, logSumExp].map((tensor) => this.floats(tensor));
    return this.keep(attentionBackward(this.device, g, x, l, sizes));
  }

  add(a: Tensor, b: Tensor): Tensor {
    shapes.sameShape("add's second", a, b);
    return this.keep(add(this.device, this.floats(a), this.floats(b)));
  }

  accumulate(target: Tensor, x: Tensor): void {
    shapes.sameShape("accumulate's x", target, x);
    accumulate(this.device, this.floats(target), this.floats(x));
  }

  copy(target: Tensor, x: Tensor): void {
    shapes.sameShape("copy's x", target, x);
    this.device.place(this.floats(target), this.floats(x));
  }

  concat(parts: readonly Tensor[]): Tensor {
    shapes.concatSizes(parts);
    return this.keep(
      concat(
        this.device,
        parts.map((part) => this.floats(part)),
      ),
    );
  }

  split(x: Tensor, columns: readonly number[]): Tensor[] {
    shapes.splitSizes(x, columns);
    return split(this.device, this.floats(x), columns).map((part) => this.keep(part));
  }

  dropout(x: Tensor, probability: number, key: DropoutKey): Tensor {
    return this.keep(dropout(this.device, this.floats(x), probability, key));
  }

  crossEntropy(logits: Tensor, targets: Tensor) {
    const index = this.targets(logits, targets);
    return this.keepAll(crossEntropy(this.device, this.floats(logits), index));
  }

  crossEntropyBackward(gradient: Tensor, logits: Tensor, targets: Tensor, logSumExp: Tensor): Tensor {
    const index = this.targets(logits, targets);
    const n = index.columns;
    shapes.expectShape("crossEntropy's gradient", gradient, n);
    shapes.expectShape("crossEntropy's logSumExp", logSumExp, n);
    const [g, scores, sums] = [gradient, logits, logSumExp].map((tensor) => this.floats(tensor));
    return this.keep(crossEntropyBackward(this.device, g, scores, index, sums));
  }

  headLoss(x: Tensor, weight: Tensor, targets: Tensor, gradients: boolean): HeadLoss {
    const { n, m } = shapes.linearSizes(x, weight, null, 'outIn');
    shapes.expectShape("headLoss's targets", targets, n);
    const index = this.indexes(targets);
    index.demand('headLoss', -1, m, this.device.recording);
    const made = headLoss(this.device, this.floats(x), this.floats(weight), index, gradients);
    return {
      losses: this.keep(made.losses),
      x: made.x && this.keep(made.x),
      weight: made.weight && this.keep(made.weight),
    };
  }

  rows(x: Tensor, first: number, count: number): Tensor {
    shapes.rowSizes("rows' x", x, first, count);
    return this.keep(rows(this.device, this.floats(x), first, count));
  }

  writeRows(target: Tensor, first: number, x: Tensor): void {
    const [count] = shapes.matrix("writeRows' x", x);
    const { c } = shapes.rowSizes("writeRows' target", target, first, count);
    shapes.expectShape("writeRows' x", x, count, c);
    this.device.place(this.floats(target), this.floats(x), first);
  }

  /** A program's tensors are its own. */
  private keep(tensor: DeviceTensor): Tensor {
    if (this.device.recording) return tensor;
    this.made.push({ serial: this.serial, tensor });
    this.serial += 1;
    return tensor;
  }

  private keepAll<Name extends string>(tensors: Record<Name, DeviceTensor>): Record<Name, Tensor> {
    for (const tensor of Object.values<DeviceTensor>(tensors)) this.keep(tensor);
    return tensors;
  }

  private targets(logits: Tensor, targets: Tensor): DeviceTensor {
    const index = this.indexes(targets);
    const { v } = shapes.crossEntropySizes(logits, targets, index.range);
    index.demand('crossEntropy', -1, v, this.device.recording);
    return index;
  }

  private floats(tensor: Tensor): DeviceTensor {
    return this.own(tensor, 'float');
  }

  private indexes(tensor: Tensor): DeviceTensor {
    return this.own(tensor, 'index');
  }

  private own(tensor: Tensor, type: Tensor['type'] = tensor.type): DeviceTensor {
    if (!(tensor instanceof DeviceTensor) || tensor.owner !== this.device || tensor.type !== type) {
      throw new KernelError(`not a tensor of ${type === 'float' ? 'floats' : 'indices'} of this backend`);
    }
    if (tensor.released) throw new KernelError('the tensor was released');
    return tensor;
  }
}

/** The tensors within a program's result. */
function tensorsIn(value: unknown, seen = new Set<object>()): DeviceTensor[] {
  if (typeof value !== 'object' || value === null || seen.has(value)) return [];
  seen.add(value);
  if (value instanceof DeviceTensor) return [value];
  if (ArrayBuffer.isView(value)) return [];
  const parts: Iterable<unknown> =
    value instanceof Map || value instanceof Set ? value : Object.values(value);
  return [...parts].flatMap((part) => tensorsIn(part, seen));
}
