import { setFlagsFromString } from 'node:v8';

/**
 * Messages pass through buffers outside of the heap, tens of megabytes a step. V8 counts them against the limit of the
 * old generation until a collection of the young one frees them, and with a heap as small as ours begins a full
 * collection at every step. A limit that grows to five times what a full collection leaves is never reached that way.
 */
export function makeRoomForMessages(): void {
  setFlagsFromString('--heap-growing-percent=400');
}
