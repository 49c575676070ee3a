import { KernelError } from '../kernels.js';

/** The part of gpu.js 2.24 that is used here, as its source defines it: its own types leave WebGPU and pipelines out. */
export interface GpuJs {
  readonly GPU: new (settings: { mode: GpuMode }) => Gpu;
  readonly Input: new (values: Float32Array, size: readonly number[]) => object;
  readonly WebGPUContext: { acquire(): Promise<WebGpuContext>; destroy(): Promise<void> };
}

export type GpuMode = 'webgpu' | 'webasm' | 'cpu';

export interface Gpu {
  createKernel(source: (...operands: never[]) => number, settings: object): GpuKernel;
  createPipeline(trace: (...operands: object[]) => object[], settings: { threads: boolean }): GpuPipeline;
  destroy(): Promise<void>;
}

/** A matrix is an array of rows, a cube an array of matrices. */
export type Rows = readonly (Float32Array | readonly Float32Array[])[] | Float32Array;

/** Called while a pipeline is traced, a kernel answers with a handle instead of rows. */
export interface GpuKernel {
  (...operands: readonly (object | number)[]): Rows;
  setOutput(size: readonly number[]): void;
  readonly kernel: {
    readonly constructor: { readonly mode: string };
    readonly fallbackReason: string | null;
    /** Translates and compiles for operands of these types, whatever their sizes. */
    build(...operands: readonly (object | number)[]): Promise<void>;
    // Of a kernel for WebGPU that is built:
    readonly computePipeline: object;
    readonly bindGroupLayout: object;
    readonly workgroupSize: readonly number[];
    readonly paramsLayout: ParamsLayout;
  };
}

/** Where the sizes of the arrays and the numbers lie in a kernel's uniform buffer, in bytes. */
export interface ParamsLayout {
  readonly arrayArgs: readonly { readonly index: number; readonly dimsOffset: number }[];
  readonly scalarArgs: readonly { readonly index: number; readonly offset: number }[];
  readonly byteLength: number;
}

export interface GpuPipeline {
  (...operands: readonly object[]): Promise<readonly Rows[]>;
  readonly executorKind: string;
  readonly fallbackReason: string | null;
  readonly backend: string | null;
  destroy(): Promise<void>;
}

export interface WebGpuContext {
  readonly adapter: {
    readonly info: Readonly<Record<'description' | 'device' | 'vendor' | 'architecture', string>>;
  };
  readonly device: WebGpuDevice;
}

/** The part of WebGPU that is used here (W3C, WebGPU). */
export interface WebGpuDevice {
  readonly limits: {
    readonly maxStorageBufferBindingSize: number;
    readonly maxBufferSize: number;
    readonly maxComputeWorkgroupsPerDimension: number;
  };
  readonly queue: {
    writeBuffer(buffer: GpuBuffer, offset: number, data: ArrayBuffer | Float32Array): void;
    submit(commands: readonly object[]): void;
  };
  createBuffer(description: { size: number; usage: number }): GpuBuffer;
  createBindGroup(description: { layout: object; entries: readonly object[] }): object;
  createCommandEncoder(): CommandEncoder;
  addEventListener(type: 'uncapturederror', listener: (event: { error: { message: string } }) => void): void;
}

export interface GpuBuffer {
  readonly size: number;
  destroy(): void;
  mapAsync(mode: number): Promise<void>;
  getMappedRange(): ArrayBuffer;
  unmap(): void;
}

export interface CommandEncoder {
  beginComputePass(): {
    setPipeline(pipeline: object): void;
    setBindGroup(index: number, group: object): void;
    dispatchWorkgroups(x: number, y: number, z: number): void;
    end(): void;
  };
  copyBufferToBuffer(from: GpuBuffer, at: number, to: GpuBuffer, offset: number, bytes: number): void;
  finish(): object;
}

/** The npm packages behind this backend, which an installation may leave out. */
export interface Libraries {
  gpuJs(): Promise<{ readonly default: GpuJs }>;
  webGpu(): Promise<{ create(options: string[]): object }>;
}

// Their names are no literals, so that the compiler does not ask for packages that may be absent.
const packages: { readonly gpuJs: string; readonly webGpu: string } = { gpuJs: 'gpu.js', webGpu: 'webgpu' };

export const installedLibraries: Libraries = {
  gpuJs: () => import(packages.gpuJs),
  webGpu: () => import(packages.webGpu),
};

/** @throws KernelError where the package is not installed. */
export async function loadGpuJs(libraries: Libraries): Promise<GpuJs> {
  try {
    return (await libraries.gpuJs()).default;
  } catch (error) {
    throw new KernelError(
      `the gpujs backend needs the npm package gpu.js, which cannot be loaded: install it, or use the cpu backend (${reason(error)})`,
      { cause: error },
    );
  }
}

// One WebGPU device serves all of a thread's kernels, and goes when the last of them is disposed.
let users = 0;

/**
 * The thread's WebGPU device; each call is answered by one `releaseWebGpu`.
 * @throws KernelError where the package is not installed or no adapter answers.
 */
export async function acquireWebGpu(gpuJs: GpuJs, libraries: Libraries): Promise<WebGpuContext> {
  const scope: typeof globalThis & { navigator?: { gpu?: object } } = globalThis;
  if (scope.navigator?.gpu === undefined) {
    const gpu = await createWebGpu(libraries);
    if (scope.navigator === undefined) scope.navigator = {};
    Object.defineProperty(scope.navigator, 'gpu', { value: gpu, configurable: true });
  }
  try {
    const context = await gpuJs.WebGPUContext.acquire();
    users += 1;
    return context;
  } catch (error) {
    throw new KernelError(
      `mode webgpu needs a GPU with a Vulkan, Metal or Direct3D 12 driver, and none answered: use mode webasm or the cpu backend (${reason(error)})`,
      { cause: error },
    );
  }
}

export async function releaseWebGpu(gpuJs: GpuJs): Promise<void> {
  users -= 1;
  if (users === 0) await gpuJs.WebGPUContext.destroy();
}

async function createWebGpu(libraries: Libraries): Promise<object> {
  try {
    return (await libraries.webGpu()).create([]);
  } catch (error) {
    throw new KernelError(
      `mode webgpu needs the npm package webgpu, which cannot be loaded: install it, or use mode webasm (${reason(error)})`,
      { cause: error },
    );
  }
}

/** An error of gpu.js as one of ours, with what was attempted; a KernelError stays what it is. */
export function asKernelError(what: string, error: unknown): KernelError {
  return error instanceof KernelError
    ? error
    : new KernelError(`${what}: ${reason(error)}`, { cause: error });
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
