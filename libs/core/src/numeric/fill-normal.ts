import { words } from './philox.js';
import { deriveKey } from './random-stream.js';
import { wasmFunctions } from './wasm.js';

/** Floats that are made at a time: 32 KiB. */
const CHUNK = 8192;

const memory = new WebAssembly.Memory({ initial: 2, maximum: 2 });
const wasm = wasmFunctions('random.wasm', ['arenaBase', 'fillNormal'], { memory });
const made = new Float32Array(memory.buffer, wasm.arenaBase(), CHUNK);

/**
 * Fills `target` with deviation · x, where x are the first normal numbers of `randomStream(seed, ...purpose)`, bit for
 * bit.
 * @throws RangeError where seed or a purpose is no integer from 0 to 2⁵³−1
 */
export function fillNormal(
  target: Float32Array,
  deviation: number,
  seed: number,
  ...purpose: readonly number[]
): void {
  const [key0, key1] = deriveKey(seed, purpose);
  for (let at = 0; at < target.length; at += CHUNK) {
    const [low, high] = words(at / 2);
    wasm.fillNormal(made.byteOffset, CHUNK, key0, key1, low, high, deviation);
    target.set(made.subarray(0, target.length - at), at);
  }
}
