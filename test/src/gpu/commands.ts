/** What is handed to the GPU of this process and what comes back, from a moment on. */
export interface Commands {
  submissions: number;
  /** Buffers that are mapped for reading. */
  readBacks: number;
  /** Bytes that were written to buffers. */
  written: number;
}

interface Mapped {
  mapAsync(mode: number): Promise<void>;
}

interface GpuDevice {
  readonly queue: object;
  createBuffer(description: { size: number; usage: number }): Mapped;
}

interface GpuJs {
  readonly default: { readonly WebGPUContext: { acquire(): Promise<{ readonly device: GpuDevice }> } };
}

// Its name is no literal: its own types leave WebGPU out.
const gpuJsPackage: string = 'gpu.js';

/** Starts to count on the one WebGPU device of this thread, which gpu.js shares among all its kernels. */
export async function countCommands(): Promise<Commands> {
  const { default: gpuJs }: GpuJs = await import(gpuJsPackage);
  const { device } = await gpuJs.WebGPUContext.acquire();
  const counts: Commands = { submissions: 0, readBacks: 0, written: 0 };
  const buffer = device.createBuffer({ size: 4, usage: 9 });
  counted(buffer, 'mapAsync', () => {
    counts.readBacks += 1;
  });
  counted(device.queue, 'submit', () => {
    counts.submissions += 1;
  });
  counted(device.queue, 'writeBuffer', (_buffer, _offset, data) => {
    if (data instanceof ArrayBuffer || ArrayBuffer.isView(data)) counts.written += data.byteLength;
  });
  return counts;
}

/** Calls `before` at each call of a method of every object of this one's kind. */
function counted(object: object, method: string, before: (...values: unknown[]) => void): void {
  const kind: object = Object.getPrototypeOf(object);
  const original: unknown = Reflect.get(kind, method);
  if (typeof original !== 'function') throw new Error(`${method} is no method`);
  const replacement = function (this: object, ...values: unknown[]): unknown {
    before(...values);
    return Reflect.apply(original, this, values);
  };
  Object.defineProperty(kind, method, { value: replacement, configurable: true });
}
