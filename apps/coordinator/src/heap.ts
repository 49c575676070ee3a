/** A binary heap: whatever comes before all others, in O(log n). */
export class Heap<T> {
  private readonly items: T[] = [];

  /** @param before a strict total order */
  constructor(private readonly before: (one: T, other: T) => boolean) {}

  get length(): number {
    return this.items.length;
  }

  push(item: T): void {
    const { items, before } = this;
    let place = items.length;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!before(item, items[parent])) break;
      items[place] = items[parent];
      place = parent;
    }
    items[place] = item;
  }

  /** Takes the first one out; undefined where there is none. */
  pop(): T | undefined {
    const { items } = this;
    const [first] = items;
    const last = items.pop();
    if (last !== undefined && items.length > 0) this.sink(last);
    return first;
  }

  private sink(item: T): void {
    const { items, before } = this;
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && before(items[child + 1], items[child])) child += 1;
      if (!before(items[child], item)) break;
      items[place] = items[child];
      place = child;
    }
    items[place] = item;
  }
}
