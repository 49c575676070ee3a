import { wasmFunctions } from './wasm.js';

interface ElementaryFunctions {
  exp(x: number): number;
  log(x: number): number;
  tanh(x: number): number;
  cos(x: number): number;
  sin(x: number): number;
  pow(x: number, y: number): number;
  erf(x: number): number;
}

/**
 * Elementary functions in float64 with the same last bit on every machine: WebAssembly of our own build, never the
 * engine's `Math`, whose results may differ between versions. `Math.sqrt`, `abs`, `floor`, `ceil`, `trunc`, `min`,
 * `max`, `fround` and `imul` are exact by the standard and need no stand-in.
 */
export const math: ElementaryFunctions = wasmFunctions('math.wasm', [
  'exp',
  'log',
  'tanh',
  'cos',
  'sin',
  'pow',
  'erf',
]);
