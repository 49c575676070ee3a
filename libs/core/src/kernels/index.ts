export {
  type BackendChoice,
  type ChosenBackend,
  chooseBackend,
  createKernels,
  type KernelOptions,
  type Trial,
} from './choose.js';
export { createCpuKernels, createCpuPlanner } from './cpu/cpu-kernels.js';
export type { CpuOptions } from './cpu/device.js';
export { relaxedSimd } from './cpu/module.js';
export { machineKind } from './cpu/native/machine-kind.js';
export { nativeLibrary } from './cpu/native/onnxruntime.js';
export { createGpuKernels, type GpuMode } from './gpujs/index.js';
export * from './kernels.js';
export { createReferenceKernels } from './reference/reference-kernels.js';
