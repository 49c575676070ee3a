import { createHash } from 'node:crypto';

/** SHA-256 of the bytes, in lower-case hexadecimal. Numbers count as their little-endian bytes. */
export function sha256(data: Uint8Array | Float32Array): string {
  return createHash('sha256')
    .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    .digest('hex');
}
