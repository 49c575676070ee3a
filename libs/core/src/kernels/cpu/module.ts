import { type WasmFunction, wasmFunctions } from '../../numeric/index.js';

/** Pointers are bytes, sizes and strides are counts: see assembly/ for each function's arguments. */
const names = [
  'accumulate',
  'add',
  'arenaBase',
  'attention',
  'attentionBackward',
  'attentionScratch',
  'copyRows',
  'crossEntropy',
  'crossEntropyBackward',
  'dropout',
  'embedding',
  'embeddingBackward',
  'gelu',
  'geluBackward',
  'geluTanh',
  'geluTanhBackward',
  'layerNorm',
  'lossGradient',
  'matmul',
  'normBackward',
  'rmsNorm',
  'rope',
  'silu',
  'siluBackward',
  'sumRows',
  'swiglu',
  'swigluBackward',
  'transpose',
] as const;

export type WasmKernels = Record<(typeof names)[number], WasmFunction>;

/** The kernels over a memory of their own. */
export function instantiate(memory: WebAssembly.Memory): WasmKernels {
  return wasmFunctions('kernels.wasm', names, { memory });
}
