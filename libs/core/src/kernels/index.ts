export { type BackendChoice, type ChosenBackend, chooseBackend, createKernels } from './choose.js';
export { type CpuOptions, createCpuKernels, createCpuPlanner } from './cpu/cpu-kernels.js';
export { machineKind } from './cpu/native/machine-kind.js';
export { nativeLibrary } from './cpu/native/onnxruntime.js';
export { createGpuKernels, type GpuMode } from './gpujs/index.js';
export * from './kernels.js';
export { createReferenceKernels } from './reference/reference-kernels.js';
