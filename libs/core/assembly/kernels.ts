// The cpu backend's kernels: one module, instantiated once per thread over a memory that TypeScript manages.
// Pointers are bytes. Nothing here allocates.

export { attention, attentionScratch } from './attention';
export { attentionBackward } from './attention-backward';
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
export { arenaBase, matmul } from './matmul';
export { layerNorm, normBackward, rmsNorm } from './norm';
export { copyRows, embedding, embeddingBackward, rope, sumRows } from './rows';
export { softmaxRows, softmaxRowsBackward } from './score-rows';
export { transpose } from './transpose';
