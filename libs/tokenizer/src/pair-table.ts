/** A map from two whole numbers ≥ 0 to one: open addressing over flat memory, several times faster than a Map. */
export class PairTable {
  /** [a, b, value] a slot; a = -1 where empty. */
  private readonly table: Int32Array;
  private readonly mask: number;

  /** Room for `count` pairs. */
  constructor(count: number) {
    let capacity = 16;
    while (capacity < count * 2) capacity *= 2;
    this.mask = capacity - 1;
    this.table = new Int32Array(capacity * 3).fill(-1);
  }

  /** The value of (a, b), or -1. */
  get(a: number, b: number): number {
    return this.table[this.slot(a, b) + 2];
  }

  set(a: number, b: number, value: number): void {
    const slot = this.slot(a, b);
    this.table[slot] = a;
    this.table[slot + 1] = b;
    this.table[slot + 2] = value;
  }

  private slot(a: number, b: number): number {
    let h = Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca6b);
    h ^= h >>> 15;
    h = Math.imul(h, 0x2c1b3c6d);
    h ^= h >>> 13;
    let slot = (h & this.mask) * 3;
    while (this.table[slot] !== -1 && (this.table[slot] !== a || this.table[slot + 1] !== b)) {
      slot = slot === this.mask * 3 ? 0 : slot + 3;
    }
    return slot;
  }
}
