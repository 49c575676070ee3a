// The cpu backend's kernels: one module, instantiated once per thread over a memory that TypeScript manages.
// Pointers are bytes. Nothing here allocates.

export { attention, attentionBackward, attentionScratch } from './attention';
export {
  accumulate,
  add,
  dropout,
  gelu,
  geluBackward,
  geluTanh,
  geluTanhBackward,
  silu,
  siluBackward,
  swiglu,
  swigluBackward,
} from './elementwise';
export { crossEntropy, crossEntropyBackward, lossGradient } from './loss';
export { arenaBase, matmul, sumRows } from './matmul';
export { layerNorm, normBackward, rmsNorm } from './norm';
export { copyRows, embedding, embeddingBackward, rope } from './rows';
export { transpose } from './transpose';
