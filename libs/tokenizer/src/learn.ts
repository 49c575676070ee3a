import { byteString } from './byte-level.js';

/**
 * The merges for `pieces` (text → how often), the most frequent pair first, as triples [left, right, merged].
 * `tokens` (byte strings by id; the 256 single bytes at first) grows by the new tokens, up to `size`.
 *
 * All pieces lie in one array of symbols, linked to their neighbours. Counts of pairs are kept up to date at the
 * places where a merge happens, so that the whole costs about as much as the number of symbols that vanish.
 * The order of merges, ties included, is that of Hugging Face's BpeTrainer with min_frequency 2.
 */
export function learnMerges(pieces: ReadonlyMap<string, number>, tokens: string[], size: number): Int32Array {
  const { symbols, next, previous, weights } = lay(pieces, tokens);
  const pairs = new Pairs();
  for (let i = 0; i < symbols.length; i++) {
    if (next[i] >= 0) pairs.add(symbols[i], symbols[next[i]], i, weights[i]);
  }
  pairs.queueAdded();

  const triples: number[] = [];
  while (tokens.length < size) {
    const pair = pairs.takeMostFrequent();
    if (pair === null) break;
    const { left, right } = pair;
    // Always a new token: wherever its bytes stand with no merge across their ends, the merges so far have made
    // the same two symbols of them, and all those become one now.
    const merged = tokens.push(tokens[left] + tokens[right]) - 1;
    triples.push(left, right, merged);
    for (const i of pair.places) {
      const j = next[i];
      if (symbols[i] !== left || j < 0 || symbols[j] !== right) continue; // gone since
      const weight = weights[i];
      const before = previous[i];
      const after = next[j];
      if (before >= 0) pairs.remove(symbols[before], left, weight);
      if (after >= 0) pairs.remove(right, symbols[after], weight);
      symbols[i] = merged;
      symbols[j] = -1;
      next[i] = after;
      if (after >= 0) previous[after] = i;
      if (before >= 0) pairs.add(symbols[before], merged, before, weight);
      if (after >= 0) pairs.add(merged, symbols[after], i, weight);
    }
    pairs.queueAdded();
  }
  return Int32Array.from(triples);
}

/** Every piece as symbols one after another; `weights[i]` is how often the piece of symbol i occurs. */
function lay(pieces: ReadonlyMap<string, number>, tokens: readonly string[]) {
  const byteIds = new Int32Array(256);
  tokens.forEach((token, id) => {
    if (token.length === 1) byteIds[token.charCodeAt(0)] = id;
  });
  const strings = Array.from(pieces.keys(), byteString);
  const length = strings.reduce((sum, bytes) => sum + bytes.length, 0);
  const symbols = new Int32Array(length);
  const next = new Int32Array(length);
  const previous = new Int32Array(length);
  const weights = new Float64Array(length); // counts exceed 32 bits in large corpora
  const counts = pieces.values();
  let at = 0;
  for (const bytes of strings) {
    const count = counts.next().value ?? 0;
    for (let k = 0; k < bytes.length; k++, at++) {
      symbols[at] = byteIds[bytes.charCodeAt(k)];
      previous[at] = k === 0 ? -1 : at - 1;
      next[at] = k === bytes.length - 1 ? -1 : at + 1;
      weights[at] = count;
    }
  }
  return { symbols, next, previous, weights };
}

/** One number a pair; ids are below 2^21. */
function keyOf(left: number, right: number): number {
  return left * 2 ** 21 + right;
}

interface Pair {
  readonly left: number;
  readonly right: number;
  count: number;
  /** Where it was when it came up, from left to right; it may be gone from there. */
  readonly places: number[];
}

/** The pairs of neighbours with their counts, and a queue of the most frequent. */
class Pairs {
  private readonly byKey = new Map<number, Pair>();
  /** Not in the queue yet: their counts may still rise. */
  private added: Pair[] = [];
  /** A binary heap of [pair, its count when it was put there]; an entry is checked when it is taken. */
  private readonly heap: { pair: Pair; count: number }[] = [];

  add(left: number, right: number, place: number, weight: number): void {
    const key = keyOf(left, right);
    let pair = this.byKey.get(key);
    if (pair === undefined) {
      pair = { left, right, count: 0, places: [] };
      this.byKey.set(key, pair);
      this.added.push(pair);
    }
    pair.count += weight;
    pair.places.push(place);
  }

  remove(left: number, right: number, weight: number): void {
    const pair = this.byKey.get(keyOf(left, right));
    if (pair !== undefined) pair.count -= weight;
  }

  /** To be called after each merge: a pair only comes up by the merge that makes one of its tokens, then only falls. */
  queueAdded(): void {
    for (const pair of this.added) if (pair.count >= 2) this.push({ pair, count: pair.count });
    this.added = [];
  }

  /** The most frequent pair, which then is no more; null where none occurs twice. */
  takeMostFrequent(): Pair | null {
    while (this.heap.length > 0) {
      const { pair, count } = this.pop();
      if (pair.count === count) {
        this.byKey.delete(keyOf(pair.left, pair.right));
        return pair;
      }
      if (pair.count >= 2) this.push({ pair, count: pair.count });
    }
    return null;
  }

  private push(item: { pair: Pair; count: number }): void {
    const { heap } = this;
    let i = heap.length;
    heap.push(item);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!goesFirst(item, heap[parent])) break;
      heap[i] = heap[parent];
      i = parent;
    }
    heap[i] = item;
  }

  private pop(): { pair: Pair; count: number } {
    const { heap } = this;
    const top = heap[0];
    const item = heap.pop() ?? top;
    if (heap.length === 0) return top;
    let i = 0;
    for (let child = 1; child < heap.length; child = 2 * i + 1) {
      if (child + 1 < heap.length && goesFirst(heap[child + 1], heap[child])) child++;
      if (!goesFirst(heap[child], item)) break;
      heap[i] = heap[child];
      i = child;
    }
    heap[i] = item;
    return top;
  }
}

function goesFirst(a: { pair: Pair; count: number }, b: { pair: Pair; count: number }): boolean {
  if (a.count !== b.count) return a.count > b.count;
  return a.pair.left !== b.pair.left ? a.pair.left < b.pair.left : a.pair.right < b.pair.right;
}
