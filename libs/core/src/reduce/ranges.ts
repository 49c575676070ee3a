/**
 * Micro-batches first … first+count−1 of a batch of M, as one node of its reduction tree. Node (level, i)
 * covers [i·2^level, min(M, (i+1)·2^level)); a range is aligned if it is what some node covers.
 */
export interface Range {
  readonly first: number;
  readonly count: number;
}

/** The lowest level whose nodes can hold `count` micro-batches: ⌈log₂ count⌉. */
export function levelOf(count: number): number {
  return count <= 1 ? 0 : 32 - Math.clz32(count - 1);
}

/** Whether the range is a node of the tree over `total` micro-batches. */
export function isAligned({ first, count }: Range, total: number): boolean {
  if (!Number.isInteger(first) || !Number.isInteger(count)) return false;
  if (first < 0 || count < 1 || first + count > total) return false;
  const width = 2 ** levelOf(count);
  return first % width === 0 && (count === width || first + count === total);
}

/**
 * The fewest aligned ranges that cover [first, first+count), in order.
 * @throws RangeError where the interval does not lie in [0, total)
 */
export function alignedRanges(first: number, count: number, total: number): Range[] {
  const end = first + count;
  if (!(Number.isInteger(first) && Number.isInteger(count) && first >= 0 && count >= 0 && end <= total)) {
    throw new RangeError(`micro-batches ${first} … ${end - 1} do not lie in a batch of ${total}`);
  }
  const ranges: Range[] = [];
  for (let at = first; at < end; ) {
    let node: Range = { first: at, count: 1 };
    for (let width = 2; at % width === 0; width *= 2) {
      const wider = Math.min(width, total - at);
      if (at + wider > end) break;
      node = { first: at, count: wider };
      if (at + wider === total) break;
    }
    ranges.push(node);
    at += node.count;
  }
  return ranges;
}

/**
 * The node as `pieces` of its descendants, in order (fewer where it has fewer micro-batches): the widest is
 * halved first, the earliest of equals.
 * @throws RangeError where the range is not aligned
 */
export function splitRange(range: Range, total: number, pieces: number): Range[] {
  if (!isAligned(range, total)) throw new RangeError(notANode(range, total));
  const parts = [range];
  while (parts.length < Math.min(pieces, range.count)) {
    const widest = parts.reduce((best, part, i) => (part.count > parts[best].count ? i : best), 0);
    const { first, count } = parts[widest];
    const left = 2 ** (levelOf(count) - 1);
    parts.splice(widest, 1, { first, count: left }, { first: first + left, count: count - left });
  }
  return parts;
}

export function notANode({ first, count }: Range, total: number): string {
  return `micro-batches ${first} … ${first + count - 1} are not a node of the tree over ${total}`;
}
