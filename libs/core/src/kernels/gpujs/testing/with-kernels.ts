import type { GpuMode } from '../foreign.js';
import type { GpuKernels } from '../gpu-kernels.js';
import { createGpuKernels } from '../index.js';

/** A backend in that mode, for as long as it is used. */
export async function withKernels(mode: GpuMode, use: (kernels: GpuKernels) => Promise<void>): Promise<void> {
  const kernels = await createGpuKernels({ mode });
  try {
    await use(kernels);
  } finally {
    await kernels.dispose();
  }
}
