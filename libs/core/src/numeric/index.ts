export {
  checkDropoutPlace,
  DROPOUT,
  type DropoutPlace,
  dropoutMask,
  dropoutScale,
  dropoutThreshold,
} from './dropout.js';
export { fillNormal } from './fill-normal.js';
export { math } from './math.js';
export { philox, words } from './philox.js';
export { type RandomStream, randomStream } from './random-stream.js';
export { sha256 } from './sha256.js';
export { type WasmFunction, wasmFunctions } from './wasm.js';
