import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cacheFolder, rememberedSpeeds, rememberSpeeds, type Speeds } from './choose-cache.js';
import { createCpuKernels } from './cpu/cpu-kernels.js';
import type { CpuOptions } from './cpu/device.js';
import { machineKind } from './cpu/native/machine-kind.js';
import { createGpuKernels } from './gpujs/index.js';
import { KernelError, type Kernels } from './kernels.js';

export type BackendChoice = 'auto' | 'cpu' | 'gpujs';

export interface ChosenBackend {
  readonly kernels: Kernels;
  /** For people: why it was chosen, one line. */
  readonly reason: string;
}

/** What `auto` compares the backends by. */
export interface Trial {
  /** Tokens that are computed in a second, forward and backward. What it leaves on the device is released. */
  measure(kernels: Kernels): Promise<number>;
  /** What decides the result beside the machine and the versions: the model and the shape of a micro-batch. */
  readonly key: string;
}

export interface KernelOptions extends CpuOptions {
  /** Of the run's own model. Without it, `auto` compares a small linear layer. */
  readonly trial?: Trial;
}

/** The trial without a model: a small linear layer, x [rows,inputs] to [rows,outputs]. */
const LAYER = { rows: 128, inputs: 256, outputs: 256, runs: 3 };

/**
 * The backend by name; `auto` leaves the choice to `chooseBackend`.
 * @throws KernelError where a backend that was asked for by name is not available
 */
export async function createKernels(
  backend: BackendChoice,
  options: KernelOptions = {},
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

/**
 * Takes the GPU where one answers and is faster in a trial than the processor, else the processor. What a trial
 * measured is kept in the user's cache folder.
 */
export async function chooseBackend(options: KernelOptions = {}): Promise<ChosenBackend> {
  const cpu = await createCpuKernels(options);
  if (options.reproducible) {
    return { kernels: cpu, reason: 'a reproducible run has to give the same bits on every processor' };
  }
  const gpu = mayHaveGpu() ? await gpuIfAny() : null;
  if (gpu === null) return { kernels: cpu, reason: 'no GPU answers' };
  return chooseBetween(cpu, gpu, options.trial ?? null, cacheFolder());
}

/** The faster one in the trial; the other one is disposed of. `folder`: where measurements are kept. */
export async function chooseBetween(
  cpu: Kernels,
  gpu: Kernels,
  trial: Trial | null,
  folder: string,
): Promise<ChosenBackend> {
  const { measure, key } = trial ?? linearLayer;
  const place = JSON.stringify([key, machineKind(), gpu.info, process.version, ...versions()]);
  let speeds = await rememberedSpeeds(folder, place);
  const when = speeds === null ? '' : ', measured before';
  try {
    speeds ??= { cpu: await measured(cpu, measure), gpujs: await onGpu(measured(gpu, measure)) };
  } catch (error) {
    await gpu.dispose();
    if (!(error instanceof GpuFailure)) throw error;
    return { kernels: cpu, reason: `the GPU failed in a trial (${error.message})` };
  }
  if (when === '') await rememberSpeeds(folder, place, speeds);
  return take(cpu, gpu, speeds, `${trial === null ? 'rows of a small layer' : 'tokens'}/s`, when);
}

class GpuFailure extends Error {}

/** An error of the kernels, not of the trial. */
async function onGpu(measuring: Promise<number>): Promise<number> {
  try {
    return await measuring;
  } catch (error) {
    throw error instanceof KernelError ? new GpuFailure(error.message) : error;
  }
}

async function take(cpu: Kernels, gpu: Kernels, speeds: Speeds, unit: string, when: string) {
  const [kernels, other] = speeds.gpujs > speeds.cpu ? [gpu, cpu] : [cpu, gpu];
  await other.dispose();
  const { mode, device } = gpu.info;
  const figures = `gpujs (${mode}, ${device}) ${words(speeds.gpujs)} ${unit}, cpu ${words(speeds.cpu)}`;
  return { kernels, reason: `${figures}${when}: takes ${kernels.info.backend}` };
}

async function measured(kernels: Kernels, measure: Trial['measure']): Promise<number> {
  const mark = kernels.mark();
  try {
    return await measure(kernels);
  } finally {
    kernels.release(mark);
  }
}

/** A GPU's kernels may become faster, or its library. */
function versions(): string[] {
  const require = createRequire(import.meta.url);
  return ['../../package.json', 'gpu.js/package.json', 'webgpu/package.json'].map((file) => {
    const { version }: { version: unknown } = require(file);
    return String(version);
  });
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

/** Rows a second of the best of some runs, after one that compiles and allocates. */
const linearLayer: Trial = {
  key: JSON.stringify(LAYER),
  async measure(kernels) {
    const { rows, inputs, outputs, runs } = LAYER;
    const x = kernels.zeros([rows, inputs]);
    const weight = kernels.zeros([inputs, outputs]);
    let best = Number.POSITIVE_INFINITY;
    for (let run = 0; run <= runs; run++) {
      const started = performance.now();
      // One row suffices to wait for the whole product.
      await kernels.read(kernels.rows(kernels.linear(x, weight, null, 'inOut'), 0, 1));
      if (run > 0) best = Math.min(best, performance.now() - started);
    }
    return (rows * 1000) / best;
  },
};

function words(speed: number): string {
  return Math.round(speed).toLocaleString('en');
}
