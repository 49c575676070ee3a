export { type BackendChoice, type ChosenBackend, chooseBackend, createKernels } from './choose.js';
export { type CpuOptions, createCpuKernels } from './cpu/cpu-kernels.js';
export { createGpuKernels, type GpuMode } from './gpujs/index.js';
export * from './kernels.js';
export { createReferenceKernels } from './reference/reference-kernels.js';
