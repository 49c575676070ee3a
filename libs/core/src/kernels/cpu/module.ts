import { readFileSync } from 'node:fs';

/** Pointers are bytes, sizes and strides are counts: see assembly/ for each function's arguments. */
const names = [
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
  'matmul',
  'normBackward',
  'rmsNorm',
  'rope',
  'silu',
  'siluBackward',
  'sumRows',
  'swiglu',
  'swigluBackward',
] as const;

type WasmFunction = (...values: number[]) => number;
export type WasmKernels = Record<(typeof names)[number], WasmFunction>;

let compiled: WebAssembly.Module | undefined;

/** The kernels over a memory of their own; the module is compiled once a thread. */
export function instantiate(memory: WebAssembly.Memory): WasmKernels {
  compiled ??= new WebAssembly.Module(readFileSync(new URL('../../../build/kernels.wasm', import.meta.url)));
  const { exports } = new WebAssembly.Instance(compiled, { env: { memory } });
  return Object.fromEntries(names.map((name) => [name, wasmFunction(exports, name)])) as WasmKernels;
}

/** WebAssembly's functions reach TypeScript untyped. */
function wasmFunction(exports: Record<string, unknown>, name: string): WasmFunction {
  const value = exports[name];
  if (typeof value !== 'function') throw new Error(`kernels.wasm does not export ${name}: build it again`);
  return value as WasmFunction;
}
