/** Ids by the bytes of a token: open addressing over one buffer that holds all tokens. */
export class TokenIndex {
  readonly bytes: Buffer;
  /** Token `id` is bytes[offsets[id], offsets[id + 1]); empty where the id is unused. */
  readonly offsets: Uint32Array;
  readonly longest: number;
  private readonly slots: Int32Array;
  private readonly mask: number;

  /** `tokens`: byte strings by id. */
  constructor(tokens: readonly (string | undefined)[]) {
    this.bytes = Buffer.from(tokens.join(''), 'latin1');
    this.offsets = new Uint32Array(tokens.length + 1);
    let capacity = 16;
    while (capacity < tokens.length * 2) capacity *= 2;
    this.mask = capacity - 1;
    this.slots = new Int32Array(capacity).fill(-1);
    let longest = 0;
    for (let id = 0; id < tokens.length; id++) {
      const length = tokens[id]?.length ?? 0;
      const start = this.offsets[id];
      this.offsets[id + 1] = start + length;
      longest = Math.max(longest, length);
      if (length > 0) this.slots[this.slot(this.bytes, start, start + length)] = id;
    }
    this.longest = longest;
  }

  /** The id of the token bytes[start, end), or -1. */
  find(bytes: Uint8Array, start: number, end: number): number {
    return end - start > this.longest ? -1 : this.slots[this.slot(bytes, start, end)];
  }

  private slot(bytes: Uint8Array, start: number, end: number): number {
    let hash = end - start;
    for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i], 0x01000193);
    hash ^= hash >>> 15;
    let slot = hash & this.mask;
    while (this.slots[slot] >= 0 && !this.holds(this.slots[slot], bytes, start, end))
      slot = (slot + 1) & this.mask;
    return slot;
  }

  private holds(id: number, bytes: Uint8Array, start: number, end: number): boolean {
    const from = this.offsets[id];
    if (this.offsets[id + 1] - from !== end - start) return false;
    for (let i = start; i < end; i++) if (this.bytes[from + i - start] !== bytes[i]) return false;
    return true;
  }
}
