import { cpus } from 'node:os';
import { KernelError, type Shape } from '../kernels.js';
import { rangeOf } from '../shapes.js';
import type { Engine, Feeds, Linked } from './engine.js';
import {
  acquireWebGpu,
  asKernelError,
  type GpuJs,
  type GpuMode,
  installedLibraries,
  type Libraries,
  loadGpuJs,
  releaseWebGpu,
} from './foreign.js';
import { ProcessorEngine } from './processor-engine.js';
import type { Program } from './program.js';
import { DeviceTensor, type Hook, operandsOf, type Step, Tape } from './tape.js';
import { WebGpuEngine } from './webgpu-engine.js';

/**
 * Runs programs in order, on one gpu.js mode. Calls only append to a queue: gpu.js compiles for WebGPU in promises,
 * so a tensor's values are there when the queue has come so far. A step that fails leaves its error in the tensors
 * it should have filled, later steps hand it on, and `read` rejects with it; the queue itself never rejects. While a
 * tape is recorded, steps are appended to it instead.
 */
export class Device {
  private queue: Promise<void> = Promise.resolve();
  /** Steps of the queue that are not done. */
  private waiting = 0;
  private reads: Promise<unknown> = Promise.resolve();
  private failure: KernelError | null = null;
  private closed = false;
  private tape: Tape | null = null;

  private constructor(
    private readonly engine: Engine,
    /** The device in its own words. */
    readonly description: string,
    private readonly gpuJs: GpuJs,
  ) {}

  /**
   * Without a mode: webgpu where an adapter answers, webasm otherwise.
   * @throws KernelError where a package, the adapter or the mode is missing.
   */
  static async open(mode: GpuMode | undefined, libraries: Libraries = installedLibraries): Promise<Device> {
    const gpuJs = await loadGpuJs(libraries);
    if (mode === undefined) {
      return Device.openWebGpu(gpuJs, libraries).catch(() => Device.openProcessor('webasm', gpuJs));
    }
    return mode === 'webgpu' ? Device.openWebGpu(gpuJs, libraries) : Device.openProcessor(mode, gpuJs);
  }

  private static async openWebGpu(gpuJs: GpuJs, libraries: Libraries): Promise<Device> {
    const context = await acquireWebGpu(gpuJs, libraries);
    const { description, vendor, architecture, device } = context.adapter.info;
    const words =
      description || [vendor, architecture, device].filter(Boolean).join(' ') || 'a GPU without a name';
    const engine = new WebGpuEngine(start(gpuJs, 'webgpu'), gpuJs, context.device);
    const opened = new Device(engine, words, gpuJs);
    // WebGPU reports a full memory or an invalid command here and nowhere else, and goes on with zeros.
    context.device.addEventListener('uncapturederror', (event) => {
      opened.failure ??= new KernelError(`the GPU refused a command: ${event.error.message}`);
    });
    return opened;
  }

  private static openProcessor(mode: GpuMode, gpuJs: GpuJs): Device {
    const engine = new ProcessorEngine(mode, start(gpuJs, mode), gpuJs);
    return new Device(engine, cpus()[0]?.model ?? process.arch, gpuJs);
  }

  get mode(): GpuMode {
    return this.engine.mode;
  }

  get launched(): Engine['launched'] {
    return this.engine.launched;
  }

  get recording(): boolean {
    return this.tape !== null;
  }

  /** A copy of `values` as a matrix of the shape's last axis by all others. */
  upload(values: Float32Array | Float64Array, shape: Shape): DeviceTensor {
    const target = this.make(shape, matrixSize(shape));
    const copy = new Float32Array(values);
    this.step({ kind: 'fill', target, values: () => copy, fixed: true });
    return target;
  }

  /** As `upload`, of values that a recorded tape asks for in each of its runs. */
  feed(values: () => Float32Array, shape: Shape): DeviceTensor {
    if (this.tape === null) return this.upload(values(), shape);
    const target = this.make(shape, matrixSize(shape));
    this.step({ kind: 'fill', target, values, fixed: false });
    return target;
  }

  /** A vector of whole numbers, which float32 holds exactly below 2²⁴. */
  uploadIndices(data: Int32Array): DeviceTensor {
    const values = exact(data);
    const shape = [data.length];
    const target = new DeviceTensor(this, shape, 'index', matrixSize(shape), rangeOf(data));
    this.tape?.make(target);
    this.step({ kind: 'fill', target, values: () => values, fixed: true });
    return target;
  }

  /** Gives a tensor new values; steps that are queued already still see the old ones. */
  overwrite(target: DeviceTensor, values: Float32Array | Float64Array): void {
    if (this.tape !== null)
      throw new KernelError('a program cannot write: its runs compute what is recorded');
    const copy = new Float32Array(values);
    this.step({ kind: 'fill', target, values: () => copy, fixed: true });
  }

  overwriteIndices(target: DeviceTensor, data: Int32Array): void {
    const values = exact(data);
    target.replaceRange(rangeOf(data));
    this.overwrite(target, values);
  }

  /** Queues a program over every entry of a new tensor. `size` makes it a cube: columns, rows, planes. */
  launch<Constants extends object>(
    program: Program<Constants>,
    constants: Constants,
    shape: Shape,
    operands: readonly (DeviceTensor | number)[],
    size: readonly number[] = matrixSize(shape),
  ): DeviceTensor {
    const target = this.make(shape, size);
    this.step({ kind: 'launch', program, constants, operands, target });
    return target;
  }

  /** A tensor whose values come by `place`, part by part. */
  empty(shape: Shape): DeviceTensor {
    return this.make(shape, matrixSize(shape));
  }

  /** Copies x over whole rows of the target from `firstRow` on or, where it has one row, over a part of that. */
  place(target: DeviceTensor, source: DeviceTensor, firstRow = 0, firstColumn = 0): void {
    if (target !== source) this.step({ kind: 'place', target, source, firstRow, firstColumn });
  }

  /** Waits for the queue and the device; without `into`, into new memory. Rejects with the error of an earlier step. */
  read(tensor: DeviceTensor, into?: Float32Array): Promise<Float32Array> {
    if (this.tape !== null) throw new KernelError('a program cannot read: nothing is computed yet');
    const reading = new Promise<Float32Array>((resolve, reject) => {
      this.enqueue(() => {
        this.fetch(tensor, into).then(resolve, (error) =>
          reject(asKernelError('reading a tensor failed', error)),
        );
      });
    });
    this.reads = Promise.allSettled([this.reads, reading]);
    return reading;
  }

  /** Frees tensors once every step that is queued by now has used them; a tape knows itself when it last uses one. */
  release(tensors: readonly DeviceTensor[]): void {
    if (this.tape !== null) return;
    for (const tensor of tensors) tensor.released = true;
    this.enqueue(() => this.engine.free(tensors));
  }

  /**
   * Records the steps of `build` and what it returned. The tape is made ready in the queue.
   * @returns its memory in bytes, and `run`, which queues its steps and calls its hooks
   */
  record<T>(build: () => T, tensorsOf: (result: T) => readonly DeviceTensor[]) {
    if (this.tape !== null) throw new KernelError('programs do not nest');
    const tape = new Tape();
    this.tape = tape;
    let result: T;
    try {
      result = build();
      tape.end(tensorsOf(result));
    } finally {
      this.tape = null;
    }
    const { outside, outputs, bytes } = tape;
    const inputs = tape.steps.flatMap((step) => (step.kind === 'fill' && !step.fixed ? step : []));
    let linked: Linked | null = null;
    let failure: KernelError | null = null;
    this.enqueue(async () => {
      try {
        linked = await this.engine.link(tape);
      } catch (error) {
        failure = asKernelError('a program cannot be made ready', error);
      }
    });
    const part = (first: number, end: number, feeds: Feeds) => {
      const needs = first === 0 ? outside : [...outside, ...outputs];
      this.attempt('of a program', needs, outputs, async () => {
        if (linked === null) throw failure ?? new KernelError('the program is not ready');
        await linked.run(first, end, feeds);
      });
    };
    const run = (): T => {
      if (this.tape !== null) throw new KernelError('programs do not nest');
      if (outside.some(({ released }) => released)) {
        throw new KernelError('a tensor that the program uses was released');
      }
      const feeds = new Map(inputs.map(({ target, values }) => [target, values()]));
      let first = 0;
      for (const { after, hook } of tape.hooks) {
        if (after > first) part(first, after, feeds);
        first = Math.max(first, after);
        hook.then();
      }
      if (first < tape.steps.length) part(first, tape.steps.length, feeds);
      return result;
    };
    return { bytes, run };
  }

  hook(hook: Hook): void {
    if (this.tape === null) hook.then();
    else this.tape.hooks.push({ after: this.tape.steps.length, hook });
  }

  /** What `make` makes does not belong to the tape that is being recorded. */
  outside<T>(make: () => T): T {
    const { tape } = this;
    this.tape = null;
    try {
      return make();
    } finally {
      this.tape = tape;
    }
  }

  /** Waits for what is queued and gives the device back. */
  async close(): Promise<void> {
    this.closed = true;
    await this.queue;
    await this.reads;
    await this.engine.close();
    if (this.mode === 'webgpu') await releaseWebGpu(this.gpuJs);
  }

  private async fetch(tensor: DeviceTensor, into?: Float32Array): Promise<Float32Array> {
    if (tensor.failure !== null) throw tensor.failure;
    const values = into ?? new Float32Array(tensor.length);
    await this.engine.read(tensor, values);
    if (this.failure !== null) throw this.failure;
    return values;
  }

  private make(shape: Shape, size: readonly number[]): DeviceTensor {
    const tensor = new DeviceTensor(this, shape, 'float', size);
    return this.tape?.make(tensor) ?? tensor;
  }

  private step(step: Step): void {
    if (this.tape !== null) {
      this.tape.steps.push(step);
      return;
    }
    const name = step.kind === 'launch' ? step.program.source.name : step.kind;
    this.attempt(name, operandsOf(step), [step.target], () => this.engine.execute(step));
  }

  private attempt(
    name: string,
    needs: readonly DeviceTensor[],
    fills: readonly DeviceTensor[],
    work: () => Promise<void>,
  ): void {
    this.enqueue(async () => {
      let failure = this.failure ?? needs.find((tensor) => tensor.failure !== null)?.failure ?? null;
      try {
        if (failure === null) await work();
      } catch (error) {
        failure = asKernelError(`kernel ${name} failed`, error);
      }
      for (const tensor of fills) tensor.failure = failure;
    });
  }

  private enqueue(step: () => void | Promise<void>): void {
    if (this.closed) throw new KernelError('these kernels were disposed of');
    this.waiting += 1;
    this.queue = this.queue.then(step).then(() => {
      this.waiting -= 1;
      if (this.waiting === 0) this.engine.flush();
    });
  }
}

/** A tensor's last axis by all others: [columns, rows]. */
export function matrixSize(shape: Shape): [number, number] {
  const columns = shape.at(-1) ?? 1;
  const rows = shape.slice(0, -1).reduce((product, length) => product * length, 1);
  if (!(columns > 0 && rows > 0))
    throw new KernelError(`a tensor of shape [${shape.join(', ')}] has no entries`);
  return [columns, rows];
}

/** @throws KernelError where this machine lacks the mode */
function start(gpuJs: GpuJs, mode: GpuMode) {
  try {
    return new gpuJs.GPU({ mode });
  } catch (error) {
    throw asKernelError(`mode ${mode} is not available on this machine`, error);
  }
}

function exact(data: Int32Array): Float32Array {
  const { greatest } = rangeOf(data);
  if (greatest >= 2 ** 24) {
    throw new KernelError(`an index of ${greatest} is above 16777215, the largest of this backend`);
  }
  return new Float32Array(data);
}
