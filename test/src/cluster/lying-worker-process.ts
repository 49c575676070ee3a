import { ChunkMemory } from '@manyhands/proto';

/**
 * A worker whose gradients are not what it computed, well formed and with the right checksum: `node
 * lying-worker-process.js THREADS bit|nan FROM`, from version FROM of the weights on.
 */
const [, , , what, from] = process.argv;
const honest = ChunkMemory.prototype.partialSum;
ChunkMemory.prototype.partialSum = function (assignment, version, piece, size) {
  if (version >= Number(from)) {
    const bits = new Uint32Array(this.values.buffer, this.values.byteOffset, 1);
    // The lowest bit of one value: no norm shows it.
    bits[0] = what === 'nan' ? 0x7fc00000 : bits[0] ^ 1;
  }
  return honest.call(this, assignment, version, piece, size);
};
await import('./worker-process.js').catch(() => {
  process.exitCode = 1; // sent away, as it should be
});
