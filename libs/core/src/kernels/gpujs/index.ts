import type { GpuMode } from './foreign.js';
import { GpuKernels } from './gpu-kernels.js';

export type { LaunchRecord } from './engine.js';
export type { GpuKernels, GpuMode };

/**
 * Kernels on gpu.js: `webgpu` on a GPU, `webasm` or `cpu` anywhere. Without a mode, webgpu where an adapter
 * answers and webasm otherwise; `info` tells which. A kernel that gpu.js would run in another mode is an error.
 *
 * @throws KernelError where gpu.js is not installed or the mode is not available here.
 */
export function createGpuKernels(options: { mode?: GpuMode } = {}): Promise<GpuKernels> {
  return GpuKernels.create(options.mode);
}
