/** Something that needs memory from one instruction to another, both included. */
export interface Lifetime {
  readonly bytes: number;
  readonly from: number;
  readonly until: number;
}

/**
 * Places each of `items` so that no two that live at once overlap, the largest first, each as low as it can lie
 * (Pisarchyk & Lee 2020, "Efficient memory management for deep neural net inference", section 4.3). Bytes are expected
 * to be aligned already.
 * @returns offsets in the items' order, and the size of the whole
 */
export function placeTensors(items: readonly Lifetime[]): { offsets: number[]; bytes: number } {
  const offsets = new Array<number>(items.length).fill(0);
  /** Those that have their place, by offset. */
  const placed: number[] = [];
  let total = 0;
  const order = items.map((_, i) => i).sort((a, b) => items[b].bytes - items[a].bytes || a - b);
  for (const i of order) {
    const { bytes, from, until } = items[i];
    let offset = 0;
    for (const other of placed) {
      const it = items[other];
      if (it.until < from || until < it.from) continue;
      if (offset + bytes <= offsets[other]) break;
      offset = Math.max(offset, offsets[other] + it.bytes);
    }
    offsets[i] = offset;
    total = Math.max(total, offset + bytes);
    const at = placed.findIndex((other) => offsets[other] > offset);
    placed.splice(at === -1 ? placed.length : at, 0, i);
  }
  return { offsets, bytes: total };
}
