import { existsSync } from 'node:fs';
import { type CpuOptions, createCpuKernels } from './cpu/cpu-kernels.js';
import { createGpuKernels } from './gpujs/index.js';
import { KernelError, type Kernels } from './kernels.js';

export type BackendChoice = 'auto' | 'cpu' | 'gpujs';

export interface ChosenBackend {
  readonly kernels: Kernels;
  /** For people: why it was chosen, one line. */
  readonly reason: string;
}

/** The trial: a small linear layer, x [rows,inputs] to [rows,outputs]. */
const TRIAL = { rows: 128, inputs: 256, outputs: 256, runs: 3 };

/**
 * The backend by name; `auto` leaves the choice to `chooseBackend`.
 * @throws KernelError where a backend that was asked for by name is not available
 */
export async function createKernels(
  backend: BackendChoice,
  options: CpuOptions = {},
): Promise<ChosenBackend> {
  switch (backend) {
    case 'auto':
      return chooseBackend(options);
    case 'cpu':
      return { kernels: await createCpuKernels(options), reason: 'asked for' };
    case 'gpujs': {
      const kernels = await createGpuKernels(mayHaveGpu() ? {} : { mode: 'webasm' });
      return { kernels, reason: 'asked for' };
    }
  }
}

/** Takes the GPU where one answers and computes a small linear layer faster than the processor, else the processor. */
export async function chooseBackend(options: CpuOptions = {}): Promise<ChosenBackend> {
  const cpu = await createCpuKernels(options);
  if (options.reproducible) {
    return { kernels: cpu, reason: 'a reproducible run has to give the same bits on every processor' };
  }
  const gpu = mayHaveGpu() ? await gpuIfAny() : null;
  if (gpu === null) return { kernels: cpu, reason: 'no GPU answers' };
  try {
    const [cpuTime, gpuTime] = [await trial(cpu), await trial(gpu)];
    const times = `a linear layer takes ${ms(gpuTime)} on ${gpu.info.device} and ${ms(cpuTime)} on the processor`;
    if (gpuTime < cpuTime) {
      await cpu.dispose();
      return { kernels: gpu, reason: times };
    }
    await gpu.dispose();
    return { kernels: cpu, reason: times };
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    await gpu.dispose();
    return { kernels: cpu, reason: `the GPU failed in a trial (${error.message})` };
  }
}

/** Loading WebGPU takes a while and complains on standard error where there is no driver: look for a device first. */
function mayHaveGpu(): boolean {
  if (process.platform !== 'linux') return true;
  const { VK_ICD_FILENAMES, VK_DRIVER_FILES } = process.env;
  if (VK_ICD_FILENAMES || VK_DRIVER_FILES) return true;
  return ['/dev/dri', '/dev/nvidiactl', '/dev/dxg'].some((device) => existsSync(device));
}

async function gpuIfAny(): Promise<Kernels | null> {
  try {
    return await createGpuKernels({ mode: 'webgpu' });
  } catch (error) {
    if (error instanceof KernelError) return null;
    throw error;
  }
}

/** The best of some runs in milliseconds, after one that compiles and allocates. */
async function trial(kernels: Kernels): Promise<number> {
  const { rows, inputs, outputs, runs } = TRIAL;
  const mark = kernels.mark();
  const x = kernels.zeros([rows, inputs]);
  const weight = kernels.zeros([inputs, outputs]);
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run <= runs; run++) {
    const started = performance.now();
    // One row suffices to wait for the whole product.
    await kernels.read(kernels.rows(kernels.linear(x, weight, null, 'inOut'), 0, 1));
    if (run > 0) best = Math.min(best, performance.now() - started);
  }
  kernels.release(mark);
  return best;
}

function ms(time: number): string {
  return `${time.toFixed(2)} ms`;
}
