import { setFlagsFromString } from 'node:v8';
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
  'softmaxRows',
  'softmaxRowsBackward',
  'sumRows',
  'swiglu',
  'swigluBackward',
  'transpose',
] as const;

export type WasmKernels = Record<(typeof names)[number], WasmFunction>;

/** A function that returns f32x4.relaxed_madd of zeros. */
const probe = Uint8Array.of(
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // the magic number and version 1
  ...[1, 5, 1, 0x60, 0, 1, 0x7b], // types: () → v128
  ...[3, 2, 1, 0], // functions: of type 0
  ...[10, 19, 1, 17, 0, ...Array(3).fill([0x41, 0, 0xfd, 0x0f]).flat(), 0xfd, 0x85, 2, 0x0b], // code
);
let relaxed: boolean | undefined;

/** Whether this Node knows relaxed SIMD instructions, which `instantiate` needs for `relaxed`. */
export function relaxedSimd(): boolean {
  relaxed ??= compiles(probe) || (process.versions.node.startsWith('20.') && compilesWithFlag(probe));
  return relaxed;
}

/** Node 20 has them behind a flag; later versions know no such flag and say so. */
function compilesWithFlag(bytes: Uint8Array): boolean {
  setFlagsFromString('--experimental-wasm-relaxed-simd');
  return compiles(bytes);
}

function compiles(bytes: Uint8Array): boolean {
  try {
    new WebAssembly.Module(bytes);
    return true;
  } catch {
    return false; // a CompileError
  }
}

/**
 * The kernels over a memory of their own. `relaxed` ones multiply and add in one rounding where the processor does
 * that faster: their bits are the same on one kind of machine only.
 *
 * @throws Error where `relaxed` is asked for and `relaxedSimd()` is false
 */
export function instantiate(
  memory: WebAssembly.Memory,
  options: { readonly relaxed?: boolean } = {},
): WasmKernels {
  if (options.relaxed !== true) return wasmFunctions('kernels.wasm', names, { memory });
  if (!relaxedSimd()) throw new Error('relaxed SIMD instructions are not known to this version of Node');
  return wasmFunctions('kernels-relaxed.wasm', names, { memory });
}
