import { TokenizerError } from './errors.js';
import { PairTable } from './pair-table.js';

/**
 * The merges of a BPE vocabulary and how they are applied (Sennrich et al. 2016): of all adjacent pairs that may
 * merge, the one with the lowest rank goes first, the leftmost of equals; until none is left.
 */
export class Merges {
  private readonly ranks: PairTable;

  /** `triples` holds [left, right, merged] of rank 0, 1, 2… Throws TokenizerError where a pair stands there twice. */
  constructor(readonly triples: Int32Array) {
    const count = triples.length / 3;
    this.ranks = new PairTable(count);
    for (let rank = 0; rank < count; rank++) {
      const [left, right] = [triples[rank * 3], triples[rank * 3 + 1]];
      const first = this.ranks.get(left, right);
      if (first >= 0) throw new TokenizerError(`merge ${rank} joins the same tokens as merge ${first}.`);
      this.ranks.set(left, right, rank);
    }
  }

  /** Merges ids[0, n) in place and returns how many are left. Time n·log n. */
  apply(ids: Int32Array, n: number): number {
    return n <= shortPiece ? this.applyShort(ids, n) : this.applyLong(ids, n);
  }

  private rank(left: number, right: number): number {
    const rank = this.ranks.get(left, right);
    return rank < 0 ? noRank : rank;
  }

  /** A look at every rank for every merge: quadratic, and the faster way for a word. */
  private applyShort(ids: Int32Array, n: number): number {
    const ranks = shortRanks;
    for (let i = 0; i + 1 < n; i++) ranks[i] = this.rank(ids[i], ids[i + 1]);
    while (n > 1) {
      let best = 0;
      for (let i = 1; i < n - 1; i++) if (ranks[i] < ranks[best]) best = i;
      if (ranks[best] === noRank) break;
      ids[best] = this.triples[ranks[best] * 3 + 2];
      n--;
      for (let i = best + 1; i < n; i++) {
        ids[i] = ids[i + 1];
        ranks[i - 1] = ranks[i];
      }
      if (best > 0) ranks[best - 1] = this.rank(ids[best - 1], ids[best]);
      if (best < n - 1) ranks[best] = this.rank(ids[best], ids[best + 1]);
    }
    return n;
  }

  /** A linked list of symbols and a heap of the merges that were possible when they were put there. */
  private applyLong(ids: Int32Array, n: number): number {
    const next = new Int32Array(n);
    const previous = new Int32Array(n);
    /** The rank of the pair that begins here, so that an outdated entry of the heap is known as such. */
    const ranks = new Int32Array(n).fill(noRank);
    const heap = new MinHeap(2 * n);
    for (let i = 0; i < n; i++) {
      next[i] = i + 1 < n ? i + 1 : -1;
      previous[i] = i - 1;
    }
    const look = (i: number) => {
      ranks[i] = next[i] < 0 ? noRank : this.rank(ids[i], ids[next[i]]);
      // One exact number orders by rank, then by place: ranks are below 2^22, places below 2^30.
      if (ranks[i] !== noRank) heap.push(ranks[i] * 2 ** 30 + i);
    };
    for (let i = 0; i < n; i++) look(i);
    while (heap.size > 0) {
      const top = heap.pop();
      const rank = Math.floor(top / 2 ** 30);
      const i = top - rank * 2 ** 30;
      if (ranks[i] !== rank) continue;
      const gone = next[i];
      ids[i] = this.triples[rank * 3 + 2];
      ranks[gone] = noRank;
      next[i] = next[gone];
      if (next[i] >= 0) previous[next[i]] = i;
      look(i);
      if (previous[i] >= 0) look(previous[i]);
    }
    let left = 0;
    for (let i = 0; i >= 0; i = next[i]) ids[left++] = ids[i];
    return left;
  }
}

const noRank = 0x7fffffff;
const shortPiece = 64;
const shortRanks = new Int32Array(shortPiece);

/** A binary heap of numbers that never holds more than `capacity`. */
class MinHeap {
  size = 0;
  private readonly items: Float64Array;

  constructor(capacity: number) {
    this.items = new Float64Array(capacity);
  }

  push(item: number): void {
    let i = this.size++;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (this.items[parent] <= item) break;
      this.items[i] = this.items[parent];
      i = parent;
    }
    this.items[i] = item;
  }

  pop(): number {
    const top = this.items[0];
    const item = this.items[--this.size];
    let i = 0;
    for (let child = 1; child < this.size; child = 2 * i + 1) {
      if (child + 1 < this.size && this.items[child + 1] < this.items[child]) child++;
      if (this.items[child] >= item) break;
      this.items[i] = this.items[child];
      i = child;
    }
    this.items[i] = item;
    return top;
  }
}
