export { type CpuOptions, createCpuKernels } from './cpu/cpu-kernels.js';
export * from './kernels.js';
export { createReferenceKernels } from './reference/reference-kernels.js';
