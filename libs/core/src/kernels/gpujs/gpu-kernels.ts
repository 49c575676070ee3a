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
import { attention, attentionBackward } from './attention.js';
import { Device, DeviceTensor, type LaunchRecord } from './device.js';
import { dropout } from './dropout.js';
import { activation, activationBackward, add, swiglu, swigluBackward } from './elementwise.js';
import type { Libraries } from './foreign.js';
import { linear, linearBackward } from './linear.js';
import { crossEntropy, crossEntropyBackward } from './loss.js';
import { layerNorm, layerNormBackward, rmsNorm, rmsNormBackward } from './norm.js';
import { RopeTables } from './rope.js';
import { concat, embedding, embeddingBackward, rows, split, writeRows } from './rows.js';

/** Every operation as gpu.js kernels on one device. */
export class GpuKernels implements Kernels {
  readonly info: BackendInfo;
  private readonly tables: RopeTables;
  private readonly made: { readonly serial: number; readonly tensor: DeviceTensor }[] = [];
  private serial = 0;
  private disposed = false;

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
    return this.keep(this.device.upload(data, shape));
  }

  indices(data: Int32Array): Tensor {
    return this.keep(this.device.uploadIndices(data));
  }

  zeros(shape: Shape): Tensor {
    return this.tensor(new Float32Array(shape.reduce((product, length) => product * length, 1)), shape);
  }

  write(target: Tensor, data: Float32Array | Float64Array): void {
    this.device.overwrite(this.floats(target), data);
  }

  async read(tensor: Tensor): Promise<Float32Array> {
    return this.device.read(this.own(tensor));
  }

  mark(): Mark {
    return this.serial;
  }

  release(mark: Mark): void {
    const kept = this.made.findLastIndex(({ serial }) => serial < mark) + 1;
    this.device.release(this.made.splice(kept).map(({ tensor }) => tensor));
  }

  async dispose(): Promise<void> {
    if (this.disposed) return;
    this.release(0);
    this.disposed = true;
    await this.device.close();
  }

  embedding(table: Tensor, ids: Tensor): Tensor {
    const weights = this.floats(table);
    return this.keep(embedding(this.device, weights, this.indexes(ids, 0, weights.rows)));
  }

  embeddingBackward(gradient: Tensor, ids: Tensor, rows: number): Tensor {
    const index = this.indexes(ids, 0, rows);
    return this.keep(embeddingBackward(this.device, this.matrix(gradient, index.columns), index, rows));
  }

  linear(x: Tensor, weight: Tensor, bias: Tensor | null, layout: WeightLayout): Tensor {
    const input = this.floats(x);
    const [inputs, outputs] = layout === 'inOut' ? [input.columns, null] : [null, input.columns];
    const matrix = this.matrix(weight, inputs, outputs);
    const vector = bias && this.matrix(bias, 1, layout === 'inOut' ? matrix.columns : matrix.rows);
    return this.keep(linear(this.device, input, matrix, vector, layout));
  }

  linearBackward(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    hasBias: boolean,
    layout: WeightLayout,
  ): { x: Tensor; weight: Tensor; bias: Tensor | null } {
    const input = this.floats(x);
    const delta = this.matrix(gradient, input.rows);
    const [rows, columns] =
      layout === 'inOut' ? [input.columns, delta.columns] : [delta.columns, input.columns];
    const made = linearBackward(
      this.device,
      delta,
      input,
      this.matrix(weight, rows, columns),
      hasBias,
      layout,
    );
    return { x: this.keep(made.x), weight: this.keep(made.weight), bias: made.bias && this.keep(made.bias) };
  }

  layerNorm(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    epsilon: number,
  ): { out: Tensor; mean: Tensor; rstd: Tensor } {
    const input = this.floats(x);
    const [scale, shift] = [weight, bias].map((vector) => this.matrix(vector, 1, input.columns));
    const { out, mean, rstd } = layerNorm(this.device, input, scale, shift, epsilon);
    return { out: this.keep(out), mean: this.keep(mean), rstd: this.keep(rstd) };
  }

  layerNormBackward(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    mean: Tensor,
    rstd: Tensor,
  ): { x: Tensor; weight: Tensor; bias: Tensor } {
    const input = this.floats(x);
    const { rows, columns } = input;
    const made = layerNormBackward(
      this.device,
      this.matrix(gradient, rows, columns),
      input,
      this.matrix(weight, 1, columns),
      this.matrix(mean, 1, rows),
      this.matrix(rstd, 1, rows),
    );
    return { x: this.keep(made.x), weight: this.keep(made.weight), bias: this.keep(made.bias) };
  }

  rmsNorm(x: Tensor, weight: Tensor, epsilon: number): { out: Tensor; rstd: Tensor } {
    const input = this.floats(x);
    const { out, rstd } = rmsNorm(this.device, input, this.matrix(weight, 1, input.columns), epsilon);
    return { out: this.keep(out), rstd: this.keep(rstd) };
  }

  rmsNormBackward(gradient: Tensor, x: Tensor, weight: Tensor, rstd: Tensor): { x: Tensor; weight: Tensor } {
    const input = this.floats(x);
    const { rows, columns } = input;
    const made = rmsNormBackward(
      this.device,
      this.matrix(gradient, rows, columns),
      input,
      this.matrix(weight, 1, columns),
      this.matrix(rstd, 1, rows),
    );
    return { x: this.keep(made.x), weight: this.keep(made.weight) };
  }

  activation(x: Tensor, kind: ActivationKind): Tensor {
    return this.keep(activation(this.device, this.floats(x), kind));
  }

  activationBackward(gradient: Tensor, x: Tensor, kind: ActivationKind): Tensor {
    const [delta, input] = this.alike(gradient, x);
    return this.keep(activationBackward(this.device, delta, input, kind));
  }

  swiglu(gate: Tensor, up: Tensor): Tensor {
    const [gates, ups] = this.alike(gate, up);
    return this.keep(swiglu(this.device, gates, ups));
  }

  swigluBackward(gradient: Tensor, gate: Tensor, up: Tensor): { gate: Tensor; up: Tensor } {
    const [delta, gates, ups] = this.alike(gradient, gate, up);
    const made = swigluBackward(this.device, delta, gates, ups);
    return { gate: this.keep(made.gate), up: this.keep(made.up) };
  }

  rope(x: Tensor, positions: Tensor, options: RopeOptions, inverse: boolean): Tensor {
    const index = this.indexes(positions, 0, Number.POSITIVE_INFINITY);
    const input = this.matrix(x, index.columns, options.heads * options.headDim);
    return this.keep(this.tables.rope(input, index, options, inverse));
  }

  attention(qkv: Tensor, shape: AttentionShape): { out: Tensor; logSumExp: Tensor } {
    const { out, logSumExp } = attention(this.device, this.queriesKeysValues(qkv, shape), shape);
    return { out: this.keep(out), logSumExp: this.keep(logSumExp) };
  }

  attentionBackward(
    gradient: Tensor,
    qkv: Tensor,
    out: Tensor,
    logSumExp: Tensor,
    shape: AttentionShape,
  ): Tensor {
    if ((shape.first ?? 0) > 0) throw new KernelError('attention with first > 0 cannot be differentiated');
    const [delta, output] = this.alike(gradient, out);
    const input = this.queriesKeysValues(qkv, shape);
    const parts = attentionBackward(this.device, delta, input, output, this.floats(logSumExp), shape);
    const joined = concat(this.device, parts);
    this.device.release(parts);
    return this.keep(joined);
  }

  add(a: Tensor, b: Tensor): Tensor {
    const [left, right] = this.alike(a, b);
    return this.keep(add(this.device, left, right));
  }

  concat(parts: readonly Tensor[]): Tensor {
    if (parts.length === 0) throw new KernelError('concat needs at least one tensor');
    const [first, ...rest] = parts.map((part) => this.floats(part));
    return this.keep(concat(this.device, [first, ...rest.map((part) => this.matrix(part, first.rows))]));
  }

  split(x: Tensor, columns: readonly number[]): Tensor[] {
    const total = columns.reduce((sum, count) => sum + count, 0);
    return split(this.device, this.matrix(x, null, total), columns).map((part) => this.keep(part));
  }

  dropout(x: Tensor, probability: number, key: DropoutKey): Tensor {
    return this.keep(dropout(this.device, this.floats(x), probability, key));
  }

  crossEntropy(logits: Tensor, targets: Tensor): { losses: Tensor; logSumExp: Tensor } {
    const scores = this.floats(logits);
    const index = this.indexes(targets, -1, scores.columns);
    const { losses, logSumExp } = crossEntropy(this.device, this.matrix(scores, index.columns), index);
    return { losses: this.keep(losses), logSumExp: this.keep(logSumExp) };
  }

  crossEntropyBackward(gradient: Tensor, logits: Tensor, targets: Tensor, logSumExp: Tensor): Tensor {
    const scores = this.floats(logits);
    const [delta, sums] = [gradient, logSumExp].map((vector) => this.matrix(vector, 1, scores.rows));
    const index = this.indexes(targets, -1, scores.columns);
    return this.keep(crossEntropyBackward(this.device, delta, scores, index, sums));
  }

  rows(x: Tensor, first: number, count: number): Tensor {
    const matrix = this.floats(x);
    if (first < 0 || count < 1 || first + count > matrix.rows) {
      throw new KernelError(
        `rows ${first} … ${first + count - 1} are not in a tensor of ${matrix.rows} rows`,
      );
    }
    return this.keep(rows(this.device, matrix, first, count));
  }

  writeRows(target: Tensor, first: number, x: Tensor): void {
    const whole = this.floats(target);
    const part = this.matrix(x, null, whole.columns);
    if (first < 0 || first + part.rows > whole.rows) {
      throw new KernelError(
        `${part.rows} rows from row ${first} on do not fit a tensor of ${whole.rows} rows`,
      );
    }
    writeRows(this.device, whole, first, part);
  }

  private keep(tensor: DeviceTensor): Tensor {
    this.made.push({ serial: this.serial, tensor });
    this.serial += 1;
    return tensor;
  }

  private own(tensor: Tensor): DeviceTensor {
    if (this.disposed) throw new KernelError('these kernels were disposed of');
    if (!(tensor instanceof DeviceTensor) || tensor.device !== this.device) {
      throw new KernelError('a tensor of other kernels was given');
    }
    if (tensor.released)
      throw new KernelError(`a tensor of shape [${tensor.shape.join(', ')}] was used after its release`);
    return tensor;
  }

  private floats(tensor: Tensor): DeviceTensor {
    const own = this.own(tensor);
    if (own.type !== 'float') throw new KernelError('an index tensor was given for one of floats');
    return own;
  }

  // A GPU answers an index outside a buffer with some other entry, so sizes are checked before.

  private matrix(tensor: Tensor, rows: number | null, columns: number | null = null): DeviceTensor {
    const own = this.floats(tensor);
    if ((rows !== null && own.rows !== rows) || (columns !== null && own.columns !== columns)) {
      throw new KernelError(
        `a tensor of shape [${own.shape.join(', ')}] was given for [${rows ?? 'any'}, ${columns ?? 'any'}]`,
      );
    }
    return own;
  }

  private alike(...tensors: Tensor[]): DeviceTensor[] {
    const [first, ...rest] = tensors.map((tensor) => this.floats(tensor));
    return [first, ...rest.map((tensor) => this.matrix(tensor, first.rows, first.columns))];
  }

  private indexes(tensor: Tensor, least: number, end: number): DeviceTensor {
    const own = this.own(tensor);
    if (own.range === null) throw new KernelError('a tensor of floats was given for one of indices');
    if (own.range.least < least || own.range.greatest >= end) {
      const wrong = own.range.least < least ? own.range.least : own.range.greatest;
      throw new KernelError(`index ${wrong} is outside ${least} … ${end - 1}`);
    }
    return own;
  }

  private queriesKeysValues(qkv: Tensor, shape: AttentionShape): DeviceTensor {
    const { batch, time, heads, kvHeads, headDim, first = 0 } = shape;
    if (heads % kvHeads !== 0) throw new KernelError(`${heads} heads cannot share ${kvHeads} heads of keys`);
    const own = this.matrix(qkv, null, (heads + 2 * kvHeads) * headDim);
    if (first === 0) return this.matrix(own, batch * time);
    if (batch !== 1 || first < 0 || first >= time || own.rows < time) {
      throw new KernelError(`attention from time ${first} on needs one sequence of ${time} rows`);
    }
    return own;
  }
}
