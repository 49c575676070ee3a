export * from './kernels.js';
export { createReferenceKernels } from './reference/reference-kernels.js';
