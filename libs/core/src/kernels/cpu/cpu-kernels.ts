import { cpus } from 'node:os';
import {
  checkDropoutPlace,
  DROPOUT,
  dropoutScale,
  dropoutThreshold,
  type WasmFunction,
} from '../../numeric/index.js';
import {
  type ActivationKind,
  type AttentionShape,
  type BackendInfo,
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
import { Arena, CpuTensor, IndexTensor } from './arena.js';
import { instantiate, type WasmKernels } from './module.js';
import { loadedLibrary } from './native/onnxruntime.js';
import { type Product, Products } from './products.js';
import { type Argument, type Instruction, Recording, resolve } from './recording.js';
import { RopeTables } from './rope-tables.js';

export interface CpuOptions {
  /** Bit-identical on every processor: WebAssembly alone, and no fused multiplication and addition. */
  readonly reproducible?: boolean;
  /** Upper limit of the memory for tensors, at most 4 GiB. */
  readonly maximumBytes?: number;
  /** What `choices` of another process said: nothing is measured here. */
  readonly choices?: string;
}

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
  readonly #arena: Arena;
  readonly #wasm: WasmKernels;
  readonly #products: Products;
  readonly #ropeTables = new RopeTables();
  #recording: Recording | null = null;

  constructor({ reproducible = false, maximumBytes, choices }: CpuOptions, dry = false) {
    this.#arena = new Arena(maximumBytes, dry);
    const { memory } = this.#arena;
    this.#wasm = instantiate(memory);
    this.#arena.reserve(this.#wasm.arenaBase());
    this.#products = new Products(this.#arena, this.#wasm, {
      library: reproducible || dry ? null : loadedLibrary(),
      choices: choices ?? null,
    });
    this.info = {
      backend: 'cpu',
      mode: this.#products.native ? 'wasm-simd+native' : 'wasm-simd',
      device: cpus()[0]?.model.trim() ?? process.arch,
      reproducible: !this.#products.native,
    };
  }

  tensor(data: Float32Array | Float64Array, shape: Shape): Tensor {
    shapes.checkShape(shape, data.length);
    const tensor = this.#arena.make(shape);
    this.#arena.write(tensor, data);
    return tensor;
  }

  indices(data: Int32Array): Tensor {
    const tensor = this.#arena.makeIndex([data.length], shapes.rangeOf(data));
    this.#arena.writeIndices(tensor, data);
    return tensor;
  }

  zeros(shape: Shape): Tensor {
    shapes.checkShape(shape);
    const tensor = this.#make(shape);
    this.#host([tensor], () => this.#arena.clear(tensor));
    return tensor;
  }

  write(target: Tensor, data: Float32Array | Float64Array): void {
    shapes.checkShape(target.shape, data.length);
    this.#arena.write(float(target), data);
  }

  writeIndices(target: Tensor, data: Int32Array): void {
    shapes.checkShape(target.shape, data.length);
    const tensor = index(target);
    tensor.replace(shapes.rangeOf(data));
    this.#arena.writeIndices(tensor, data);
  }

  async read(tensor: Tensor): Promise<Float32Array> {
    this.#notRecording();
    const { offset } = tensor.type === 'index' ? index(tensor) : float(tensor);
    const first = offset / 4;
    const end = first + shapes.sizeOf(tensor.shape);
    if (tensor.type === 'index') return Float32Array.from(this.#arena.integers.subarray(first, end));
    return this.#arena.floats.slice(first, end);
  }

  readInto(tensor: Tensor, target: Float32Array): null {
    this.#notRecording();
    shapes.checkShape(tensor.shape, target.length);
    const first = float(tensor).offset / 4;
    target.set(this.#arena.floats.subarray(first, first + target.length));
    return null;
  }

  mark(): Mark {
    return this.#arena.mark();
  }

  release(mark: Mark): void {
    this.#notRecording();
    this.#arena.release(mark);
  }

  async dispose(): Promise<void> {
    this.#arena.release(0);
  }

  compile<T>(build: () => T): Program<T> {
    this.#notRecording();
    const recording = new Recording();
    this.#recording = recording;
    try {
      return recording.finish(this.#arena, build());
    } finally {
      this.#recording = null;
    }
  }

  hook(tensors: readonly Tensor[], then: () => void): void {
    this.#host(tensors.map(float), then);
  }

  choices(): string {
    return this.#products.choices();
  }

  #notRecording(): void {
    if (this.#recording !== null)
      throw new KernelError('a program is being recorded: nothing is computed yet');
  }

  /** A tensor of this recording, or of the arena. */
  #make(shape: Shape): CpuTensor {
    return this.#recording?.make(shape) ?? this.#arena.make(shape);
  }

  /** Records an instruction or carries it out. */
  #add(instruction: Instruction): void {
    if (this.#recording !== null) {
      this.#recording.add(instruction);
      return;
    }
    if (this.#arena.dry) return;
    const call = instruction.link(instruction.args.map(resolve));
    call.run();
    call.release?.();
  }

  #do(kernel: WasmFunction, ...args: Argument[]): void {
    this.#add({ args, link: (numbers) => ({ run: () => kernel(...numbers) }) });
  }

  #host(args: readonly Argument[], then: () => void): void {
    this.#add({ args, link: () => ({ run: then }) });
  }

  /** Frees what `work` makes beside its results, which must have been made before. */
  #temporarily(work: () => void): void {
    if (this.#recording !== null) {
      work(); // the plan sees to it
      return;
    }
    const mark = this.#arena.mark();
    work();
    this.#arena.release(mark);
  }

  #scratch(bytes: number): CpuTensor {
    return this.#make([Math.ceil(bytes / 4)]);
  }

  /** out = a · b (+ from), by whatever is fastest for the shape. */
  #product(product: Product): void {
    const { n, m, k, transA, transB, added } = product;
    const engine = this.#products.engine(product);
    if (engine === 'wasm') {
      const { a, b, out, from } = product;
      const left = transA ? [1, n] : [k, 1];
      const right = transB ? [1, k] : [m, 1];
      const start = [from ?? 0, added === 'matrix' ? m : 0];
      this.#do(this.#wasm.matmul, n, m, k, a, ...left, b, ...right, out, m, ...start);
      return;
    }
    if (engine === 'native') {
      this.#add(this.#products.instruction(product));
      return;
    }
    this.#temporarily(() => {
      const upright = this.#make([n, k]);
      this.#do(this.#wasm.transpose, product.a, upright, k, n);
      this.#add(this.#products.instruction({ ...product, a: upright, transA: false }));
    });
  }

  embedding(table: Tensor, ids: Tensor): Tensor {
    const [rows, c] = shapes.matrix("embedding's table", table);
    const from = index(ids);
    from.demand('embedding', 0, rows);
    const n = ids.shape[0];
    const out = this.#make([n, c]);
    this.#do(this.#wasm.embedding, float(table), from, out, n, c);
    return out;
  }

  embeddingBackward(gradient: Tensor, ids: Tensor, rows: number): Tensor {
    const from = index(ids);
    const n = ids.shape[0];
    shapes.expectShape("embedding's gradient", gradient, n, null);
    from.demand('embedding', 0, rows);
    const c = gradient.shape[1];
    const out = this.#make([rows, c]);
    this.#do(this.#wasm.embeddingBackward, float(gradient), from, out, n, c, rows);
    return out;
  }

  linear(x: Tensor, weight: Tensor, bias: Tensor | null, layout: WeightLayout): Tensor {
    const { n, k, m } = shapes.linearSizes(x, weight, bias, layout);
    const out = this.#make([n, m]);
    this.#product({
      ...{ n, m, k, a: float(x), transA: false, b: float(weight), transB: layout === 'outIn', out },
      ...(bias === null ? plain : { added: 'row', from: float(bias) }),
    });
    return out;
  }

  linearBackward(gradient: Tensor, x: Tensor, weight: Tensor, hasBias: boolean, layout: WeightLayout) {
    const { n, k, m } = shapes.linearSizes(x, weight, null, layout);
    shapes.expectShape("linear's gradient", gradient, n, m);
    const [g, a, w] = [gradient, x, weight].map(float);
    const dx = this.#make([n, k]);
    const dw = this.#make(weight.shape);
    const db = hasBias ? this.#make([m]) : null;
    const inOut = layout === 'inOut';
    this.#product({ n, m: k, k: m, a: g, transA: false, b: w, transB: inOut, out: dx, ...plain });
    const [first, second] = inOut ? [a, g] : [g, a];
    const [rows, columns] = weight.shape;
    this.#product({
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
    if (db) this.#do(this.#wasm.sumRows, n, m, g, db);
    return { x: dx, weight: dw, bias: db };
  }

  layerNorm(x: Tensor, weight: Tensor, bias: Tensor, epsilon: number) {
    const { n, c } = shapes.normSizes('layerNorm', x, [weight, bias]);
    const out = this.#make(x.shape);
    const mean = this.#make([n]);
    const rstd = this.#make([n]);
    const inputs = [x, weight, bias].map(float);
    this.#do(this.#wasm.layerNorm, ...inputs, out, mean, rstd, n, c, epsilon);
    return { out, mean, rstd };
  }

  layerNormBackward(gradient: Tensor, x: Tensor, weight: Tensor, mean: Tensor, rstd: Tensor) {
    shapes.normSizes('layerNorm', x, [weight], [mean, rstd]);
    const bias = this.#make(weight.shape);
    return { ...this.#normBackward(gradient, x, weight, float(mean), rstd, bias), bias };
  }

  rmsNorm(x: Tensor, weight: Tensor, epsilon: number) {
    const { n, c } = shapes.normSizes('rmsNorm', x, [weight]);
    const out = this.#make(x.shape);
    const rstd = this.#make([n]);
    this.#do(this.#wasm.rmsNorm, float(x), float(weight), out, rstd, n, c, epsilon);
    return { out, rstd };
  }

  rmsNormBackward(gradient: Tensor, x: Tensor, weight: Tensor, rstd: Tensor) {
    shapes.normSizes('rmsNorm', x, [weight], [rstd]);
    return this.#normBackward(gradient, x, weight, 0, rstd, 0);
  }

  #normBackward(gradient: Tensor, x: Tensor, weight: Tensor, mean: Argument, rstd: Tensor, dbias: Argument) {
    shapes.sameShape("the norm's gradient", x, gradient);
    const [n, c] = x.shape;
    const dx = this.#make(x.shape);
    const dw = this.#make(weight.shape);
    const inputs = [gradient, x, weight].map(float);
    this.#do(this.#wasm.normBackward, ...inputs, mean, float(rstd), dx, dw, dbias, n, c);
    return { x: dx, weight: dw };
  }

  activation(x: Tensor, kind: ActivationKind): Tensor {
    const out = this.#make(x.shape);
    this.#do(this.#wasm[activations[kind].forward], float(x), out, out.bytes);
    return out;
  }

  activationBackward(gradient: Tensor, x: Tensor, kind: ActivationKind): Tensor {
    shapes.sameShape("activation's gradient", x, gradient);
    const out = this.#make(x.shape);
    this.#do(this.#wasm[activations[kind].backward], float(gradient), float(x), out, out.bytes);
    return out;
  }

  swiglu(gate: Tensor, up: Tensor): Tensor {
    shapes.sameShape("swiglu's up", gate, up);
    const out = this.#make(gate.shape);
    this.#do(this.#wasm.swiglu, float(gate), float(up), out, out.bytes);
    return out;
  }

  swigluBackward(gradient: Tensor, gate: Tensor, up: Tensor) {
    shapes.sameShape("swiglu's up", gate, up);
    shapes.sameShape("swiglu's gradient", gate, gradient);
    const dgate = this.#make(gate.shape);
    const dup = this.#make(gate.shape);
    const inputs = [gradient, gate, up].map(float);
    this.#do(this.#wasm.swigluBackward, ...inputs, dgate, dup, dup.bytes);
    return { gate: dgate, up: dup };
  }

  rope(x: Tensor, positions: Tensor, options: RopeOptions, inverse: boolean): Tensor {
    const { n } = shapes.ropeSizes(x, positions, options);
    const at = index(positions);
    const out = this.#make(x.shape);
    if (n === 0) return out;
    const { heads, headDim } = options;
    const half = headDim / 2;
    const table = () => this.#ropeTables.rows(options, at.range.least, at.range.greatest);
    const rows = at.range.greatest - at.range.least + 1;
    this.#temporarily(() => {
      const cosines = this.#make([rows, half]);
      const sines = this.#make([rows, half]);
      this.#host([cosines, sines], () => {
        const values = table();
        shapes.checkShape(cosines.shape, values.cosines.length);
        this.#arena.write(cosines, values.cosines);
        this.#arena.write(sines, values.sines);
      });
      const sizes = [n, heads, half, () => at.range.least, inverse ? -1 : 1];
      this.#do(this.#wasm.rope, float(x), at, cosines, sines, out, ...sizes);
    });
    return out;
  }

  attention(qkv: Tensor, shape: AttentionShape) {
    const { batch, time, first, queries, heads, kvHeads, headDim } = shapes.attentionSizes(qkv, shape);
    const out = this.#make([batch * queries, heads * headDim]);
    const logSumExp = this.#make([batch, heads, queries]);
    const sizes = [batch, time, first, heads, kvHeads, headDim];
    this.#temporarily(() => {
      const scratch = this.#scratch(this.#wasm.attentionScratch(time));
      this.#do(this.#wasm.attention, float(qkv), out, logSumExp, scratch, ...sizes);
    });
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
    const inputs = [gradient, qkv, out, logSumExp].map(float);
    const result = this.#make(qkv.shape);
    this.#temporarily(() => {
      const scratch = this.#scratch(this.#wasm.attentionScratch(time));
      this.#do(
        this.#wasm.attentionBackward,
        ...inputs,
        result,
        scratch,
        batch,
        time,
        heads,
        kvHeads,
        headDim,
      );
    });
    return result;
  }

  add(a: Tensor, b: Tensor): Tensor {
    shapes.sameShape("add's second", a, b);
    const out = this.#make(a.shape);
    this.#do(this.#wasm.add, float(a), float(b), out, out.bytes);
    return out;
  }

  accumulate(target: Tensor, x: Tensor): void {
    shapes.sameShape("accumulate's x", target, x);
    this.#do(this.#wasm.accumulate, float(target), float(x), float(x).bytes);
  }

  copy(target: Tensor, x: Tensor): void {
    shapes.sameShape("copy's x", target, x);
    const { bytes } = float(x);
    this.#do(this.#wasm.copyRows, float(x), bytes, float(target), bytes, 1, bytes);
  }

  concat(parts: readonly Tensor[]): Tensor {
    const { n, columns } = shapes.concatSizes(parts);
    const width = columns.reduce((sum, extent) => sum + extent, 0);
    const out = this.#make([n, width]);
    let plus = 0;
    for (const [i, tensor] of parts.map(float).entries()) {
      const bytes = 4 * columns[i];
      this.#do(this.#wasm.copyRows, tensor, bytes, { tensor: out, plus }, 4 * width, n, bytes);
      plus += bytes;
    }
    return out;
  }

  split(x: Tensor, columns: readonly number[]): Tensor[] {
    const { n, width } = shapes.splitSizes(x, columns);
    const tensor = float(x);
    let plus = 0;
    return columns.map((c) => {
      const part = this.#make([n, c]);
      this.#do(this.#wasm.copyRows, { tensor, plus }, 4 * width, part, 4 * c, n, 4 * c);
      plus += 4 * c;
      return part;
    });
  }

  dropout(x: Tensor, probability: number, place: DropoutKey): Tensor {
    const out = this.#make(x.shape);
    const key = [() => place.seed, () => place.step, () => place.microBatch, () => place.layer];
    const rest = [DROPOUT, dropoutThreshold(probability), dropoutScale(probability)];
    this.#host([], () => checkDropoutPlace(place));
    this.#do(this.#wasm.dropout, float(x), out, out.bytes, ...key, ...rest);
    return out;
  }

  crossEntropy(logits: Tensor, targets: Tensor) {
    const { n, v } = shapes.crossEntropySizes(logits, targets);
    const wanted = index(targets);
    wanted.demand('crossEntropy', -1, v);
    const losses = this.#make([n]);
    const logSumExp = this.#make([n]);
    this.#do(this.#wasm.crossEntropy, float(logits), wanted, losses, logSumExp, n, v);
    return { losses, logSumExp };
  }

  crossEntropyBackward(gradient: Tensor, logits: Tensor, targets: Tensor, logSumExp: Tensor): Tensor {
    const { n, v } = shapes.crossEntropySizes(logits, targets);
    const wanted = index(targets);
    wanted.demand('crossEntropy', -1, v);
    shapes.expectShape("crossEntropy's gradient", gradient, n);
    shapes.expectShape("crossEntropy's logSumExp", logSumExp, n);
    const out = this.#make(logits.shape);
    const [g, from, sums] = [gradient, logits, logSumExp].map(float);
    this.#do(this.#wasm.crossEntropyBackward, g, from, wanted, sums, out, n, v);
    return out;
  }

  headLoss(x: Tensor, weight: Tensor, targets: Tensor, gradients: boolean): HeadLoss {
    const { n, k: c, m: v } = shapes.linearSizes(x, weight, null, 'outIn');
    shapes.expectShape("headLoss's targets", targets, n);
    const wanted = index(targets);
    wanted.demand('headLoss', -1, v);
    const [hidden, head] = [float(x), float(weight)];
    const losses = this.#make([n]);
    const dx = gradients ? this.#make(x.shape) : null;
    const dw = gradients ? this.#make(weight.shape) : null;
    const rows = Math.min(n, headRows(v));
    this.#temporarily(() => {
      const logits = this.#make([rows, v]);
      const logSumExp = this.#make([rows]);
      for (let first = 0; first < n; first += rows) {
        const count = Math.min(rows, n - first);
        const row = (tensor: CpuTensor, width: number) => ({ tensor, plus: 4 * first * width });
        const a = row(hidden, c);
        this.#product({
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
          this.#do(this.#wasm.crossEntropy, ...loss);
          continue;
        }
        this.#do(this.#wasm.lossGradient, ...loss);
        const back = { a: logits, transB: false };
        this.#product({ ...back, n: count, m: c, k: v, transA: false, b: head, out: row(dx, c), ...plain });
        const sum = first === 0 ? plain : { added: 'matrix' as const, from: dw };
        this.#product({ ...back, n: v, m: c, k: count, transA: true, b: a, out: dw, ...sum });
      }
    });
    return { losses, x: dx, weight: dw };
  }

  rows(x: Tensor, first: number, count: number): Tensor {
    const { c } = shapes.rowSizes("rows' x", x, first, count);
    const out = this.#make([count, c]);
    this.#do(this.#wasm.copyRows, { tensor: float(x), plus: 4 * first * c }, 4 * c, out, 4 * c, count, 4 * c);
    return out;
  }

  writeRows(target: Tensor, first: number, x: Tensor): void {
    const [count] = shapes.matrix("writeRows' x", x);
    const { c } = shapes.rowSizes("writeRows' target", target, first, count);
    shapes.expectShape("writeRows' x", x, count, c);
    const to = { tensor: float(target), plus: 4 * first * c };
    this.#do(this.#wasm.copyRows, float(x), 4 * c, to, 4 * c, count, 4 * c);
  }
}

const plain = { added: 'nothing', from: null } as const;

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
