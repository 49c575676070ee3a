import { cpus } from 'node:os';
import { KernelError, type Shape, type Tensor } from '../kernels.js';
import { type IndexRange, rangeOf } from '../shapes.js';
import {
  acquireWebGpu,
  asKernelError,
  type BufferHandle,
  type GpuJs,
  type GpuMode,
  type Handle,
  installedLibraries,
  type Libraries,
  loadGpuJs,
  releaseWebGpu,
  type WebGpuContext,
} from './foreign.js';
import { Launcher, type LaunchRecord } from './launcher.js';
import { type Matrix, type Program, program, type Thread } from './program.js';

/** A matrix (a vector is one row), or a cube within an operation, whose values come when the queue reaches it. */
export class DeviceTensor implements Tensor {
  handle: Handle | null = null;
  failure: KernelError | null = null;
  released = false;

  /** `size`: columns, rows and, for a cube, planes. `range`: of an index tensor's values. */
  constructor(
    readonly device: Device,
    readonly shape: Shape,
    readonly type: Tensor['type'],
    readonly size: readonly number[],
    readonly range: IndexRange = rangeOf(new Int32Array()),
  ) {}

  get columns(): number {
    return this.size[0];
  }

  get rows(): number {
    return this.size[1];
  }
}

/**
 * Runs programs in order, on one gpu.js mode. Calls only append to a queue: gpu.js compiles for WebGPU in
 * promises, so a tensor's values are there when the queue has come so far. A step that fails leaves its error in
 * the tensors it should have filled, later steps hand it on, and `read` rejects with it; the queue itself never
 * rejects.
 */
export class Device {
  private readonly launcher: Launcher;
  private queue: Promise<void> = Promise.resolve();
  private reads: Promise<unknown> = Promise.resolve();
  private failure: KernelError | null = null;
  private closed = false;

  private constructor(
    readonly mode: GpuMode,
    /** The device in its own words. */
    readonly description: string,
    private readonly gpuJs: GpuJs,
    context: WebGpuContext | null,
  ) {
    this.launcher = new Launcher(gpuJs, mode);
    // WebGPU reports a full memory or an invalid command here and nowhere else, and goes on with zeros.
    context?.device.addEventListener('uncapturederror', (event) => {
      this.failure ??= new KernelError(`the GPU refused a command: ${event.error.message}`);
    });
  }

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
    return new Device('webgpu', words, gpuJs, context);
  }

  private static openProcessor(mode: GpuMode, gpuJs: GpuJs): Device {
    return new Device(mode, cpus()[0]?.model ?? process.arch, gpuJs, null);
  }

  get launched(): readonly Readonly<LaunchRecord>[] {
    return this.launcher.launched;
  }

  /** A copy of `values` as a matrix of the shape's last axis by all others. */
  upload(values: Float32Array | Float64Array, shape: Shape): DeviceTensor {
    const tensor = new DeviceTensor(this, shape, 'float', matrixSize(shape));
    this.overwrite(tensor, values);
    return tensor;
  }

  /** A vector of whole numbers, which float32 holds exactly below 2²⁴. */
  uploadIndices(values: Int32Array): DeviceTensor {
    const range = rangeOf(values);
    if (range.greatest >= 2 ** 24) {
      throw new KernelError(`an index of ${range.greatest} is above 16777215, the largest of this backend`);
    }
    const tensor = new DeviceTensor(this, [values.length], 'index', matrixSize([values.length]), range);
    this.overwrite(tensor, new Float32Array(values));
    return tensor;
  }

  /** Gives a tensor new values; steps that are queued already still see the old ones. */
  overwrite(target: DeviceTensor, values: Float32Array | Float64Array): void {
    const { columns, rows } = target;
    const copy = new Float32Array(values);
    this.fill(target, 'upload', () => {
      if (this.mode !== 'webgpu') {
        return Array.from({ length: rows }, (_, row) => copy.subarray(row * columns, (row + 1) * columns));
      }
      return this.launcher.run(uploadProgram, {}, target.size, [new this.gpuJs.Input(copy, target.size)]);
    });
  }

  /** Queues a program over every entry of a new tensor. `size` makes it a cube: columns, rows, planes. */
  launch<Constants extends object>(
    program: Program<Constants>,
    constants: Constants,
    shape: Shape,
    operands: readonly (DeviceTensor | number)[],
    size: readonly number[] = matrixSize(shape),
  ): DeviceTensor {
    const tensor = new DeviceTensor(this, shape, 'float', size);
    this.launchInto(tensor, program, constants, operands);
    return tensor;
  }

  /** As `launch`, over a tensor whose handles stay valid. It may be among the operands: they are read before. */
  launchInto<Constants extends object>(
    target: DeviceTensor,
    program: Program<Constants>,
    constants: Constants,
    operands: readonly (DeviceTensor | number)[],
  ): void {
    this.fill(target, program.source.name, () =>
      this.launcher.run(
        program,
        constants,
        target.size,
        operands.map((operand) => (typeof operand === 'number' ? operand : handleOf(operand))),
      ),
    );
  }

  /** Waits for the queue and the device. Rejects with the error of an earlier step. */
  read(tensor: DeviceTensor): Promise<Float32Array> {
    const reading = new Promise<Float32Array>((resolve, reject) => {
      this.enqueue(() => {
        this.fetch(tensor).then(resolve, (error) => reject(asKernelError('reading a tensor failed', error)));
      });
    });
    this.reads = Promise.allSettled([this.reads, reading]);
    return reading;
  }

  /** Frees tensors once every step that is queued by now has used them. */
  release(tensors: readonly DeviceTensor[]): void {
    for (const tensor of tensors) tensor.released = true;
    this.enqueue(() => {
      for (const tensor of tensors) free(tensor);
    });
  }

  /** Waits for what is queued and gives the device back. */
  async close(): Promise<void> {
    this.closed = true;
    await this.queue;
    await this.reads;
    await this.launcher.close();
    if (this.mode === 'webgpu') await releaseWebGpu(this.gpuJs);
  }

  private enqueue(step: () => void | Promise<void>): void {
    if (this.closed) throw new KernelError('these kernels were disposed of');
    this.queue = this.queue.then(step);
  }

  private fill(target: DeviceTensor, name: string, compute: () => Handle | Promise<Handle>): void {
    this.enqueue(async () => {
      let handle: Handle | null = null;
      let failure = this.failure;
      try {
        if (failure === null) handle = await compute();
      } catch (error) {
        failure = asKernelError(`kernel ${name} failed`, error);
      }
      free(target);
      target.handle = handle;
      target.failure = failure;
    });
  }

  private async fetch(tensor: DeviceTensor): Promise<Float32Array> {
    const handle = handleOf(tensor);
    const rows = isBuffer(handle) ? await handle.toArray() : handle;
    if (this.failure !== null) throw this.failure;
    const values = new Float32Array(tensor.rows * tensor.columns);
    rows.forEach((row, index) => {
      values.set(row, index * tensor.columns);
    });
    return values;
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

const uploadProgram = program<object>(function upload(this: Thread<object>, values: Matrix): number {
  return values[this.thread.y][this.thread.x];
});

function handleOf(tensor: DeviceTensor): Handle {
  if (tensor.failure !== null) throw tensor.failure;
  if (tensor.handle === null) throw new KernelError('a tensor was used after its release');
  return tensor.handle;
}

function isBuffer(handle: Handle): handle is BufferHandle {
  return 'toArray' in handle;
}

function free(tensor: DeviceTensor): void {
  if (tensor.handle !== null && isBuffer(tensor.handle)) tensor.handle.delete();
  tensor.handle = null;
}
