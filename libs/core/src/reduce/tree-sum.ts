import { isAligned, levelOf, notANode, type Range } from './ranges.js';

/** A partial sum over a node of the tree: micro-batches first … end−1, ready to meet its sibling on `level`. */
interface Partial {
  readonly first: number;
  readonly end: number;
  level: number;
  readonly values: Float32Array;
}

/** An array in shared memory: threads read and write it where it lies. */
export function sharedFloats(length: number): Float32Array {
  return new Float32Array(new SharedArrayBuffer(4 * length));
}

/** Arrays of one size, kept for the next step instead of being allocated again. */
export class BufferPool {
  readonly size: number;
  readonly #allocate: (length: number) => Float32Array;
  readonly #free: Float32Array[] = [];

  /** @param allocate where the arrays come from: `sharedFloats`, for threads that read them */
  constructor(size: number, allocate = (length: number): Float32Array => new Float32Array(length)) {
    this.size = size;
    this.#allocate = allocate;
  }

  /** An array of `size` values, whatever they are. */
  take(): Float32Array {
    return this.#free.pop() ?? this.#allocate(this.size);
  }

  give(buffer: Float32Array): void {
    if (buffer.length !== this.size) {
      throw new RangeError(`a buffer of ${buffer.length} values does not belong to a pool of ${this.size}`);
    }
    this.#free.push(buffer);
  }
}

/**
 * Sums gradients along the batch's own tree: the value of a node is left + right in float32, or left alone where
 * the right one lies beyond the batch. Whatever the order of arrival and however the batch was divided, the result
 * has the same bits, for addition of two numbers is commutative though it is not associative. Fed in order, n
 * micro-batches need at most ⌈log₂ n⌉ + 1 buffers.
 */
export class TreeSum {
  readonly total: number;
  readonly #pool: BufferPool;
  /** By first micro-batch; disjoint. */
  readonly #partials = new Map<number, Partial>();
  #most = 0;

  /** A batch of `total` micro-batches with gradients of `pool.size` (or `pool`, a number) values. */
  constructor(total: number, pool: number | BufferPool) {
    if (!(Number.isInteger(total) && total > 0 && total <= 2 ** 31)) {
      throw new RangeError(`a batch must have 1 … 2³¹ micro-batches, not ${total}`);
    }
    this.total = total;
    this.#pool = typeof pool === 'number' ? new BufferPool(pool) : pool;
  }

  /** Whether the whole batch has been added. */
  get complete(): boolean {
    return this.#partials.get(0)?.end === this.total;
  }

  /** What has been added so far, as the nodes that are summed, in order. */
  get ranges(): Range[] {
    return [...this.#partials.values()]
      .sort((a, b) => a.first - b.first)
      .map(({ first, end }) => ({ first, count: end - first }));
  }

  /** The most buffers that were in use at once. */
  get mostBuffers(): number {
    return this.#most;
  }

  /**
   * Adds the sum over a node. `values` is only read, and may be reused after the call.
   * @throws RangeError where the range is no node of the tree, overlaps one that was added, or has another size
   */
  add(range: Range, values: Float32Array): void {
    const { first, count } = range;
    const end = first + count;
    if (!isAligned(range, this.total)) throw new RangeError(notANode(range, this.total));
    if (values.length !== this.#pool.size) {
      throw new RangeError(`a gradient must have ${this.#pool.size} values, not ${values.length}`);
    }
    for (const held of this.#partials.values()) {
      if (first < held.end && held.first < end) {
        throw new RangeError(
          `micro-batches ${first} … ${end - 1} overlap ${held.first} … ${held.end - 1}, which were added before`,
        );
      }
    }
    let node = this.#promote({ first, end, level: levelOf(count), values });
    let owned = false;
    for (let sibling = this.#sibling(node); sibling !== null; sibling = this.#sibling(node)) {
      addInto(sibling.values, node.values);
      this.#partials.delete(sibling.first);
      if (owned) this.#pool.give(node.values);
      owned = true;
      node = this.#promote({
        first: Math.min(node.first, sibling.first),
        end: Math.max(node.end, sibling.end),
        level: node.level + 1,
        values: sibling.values,
      });
    }
    if (!owned) {
      const copy = this.#pool.take();
      copy.set(values);
      node = { ...node, values: copy };
    }
    this.#partials.set(node.first, node);
    this.#most = Math.max(this.#most, this.#partials.size);
  }

  /**
   * The sum over a node whose micro-batches have all been added: what a worker sends for its range. The array
   * belongs to the tree, and is good until the next `add` or `release`.
   * @throws RangeError where the node is not complete, or is already part of a wider one
   */
  partial({ first, count }: Range): Float32Array {
    const held = this.#partials.get(first);
    if (held === undefined || held.end !== first + count) {
      throw new RangeError(`micro-batches ${first} … ${first + count - 1} are not summed as one node`);
    }
    return held.values;
  }

  /** The sum over the batch; see `partial`. */
  result(): Float32Array {
    return this.partial({ first: 0, count: this.total });
  }

  /** Gives the buffers back to the pool and forgets what was added: the tree is ready for the next step. */
  release(): void {
    for (const held of this.#partials.values()) this.#pool.give(held.values);
    this.#partials.clear();
  }

  /** A node without a right sibling has its parent's value. */
  #promote(node: Partial): Partial {
    while (this.#index(node) % 2 === 0 && node.end === this.total && node.first > 0) node.level++;
    return node;
  }

  #sibling(node: Partial): Partial | null {
    const width = 2 ** node.level;
    const sibling = this.#partials.get(this.#index(node) % 2 === 0 ? node.first + width : node.first - width);
    return sibling?.level === node.level ? sibling : null;
  }

  #index(node: Partial): number {
    return node.first / 2 ** node.level;
  }
}

/** Four at a time: a third of the time goes into counting otherwise. Copying into WebAssembly and back costs as much as it saves. */
function addInto(target: Float32Array, values: Float32Array): void {
  const { length } = target;
  const whole = length - (length % 4);
  for (let i = 0; i < whole; i += 4) {
    target[i] += values[i];
    target[i + 1] += values[i + 1];
    target[i + 2] += values[i + 2];
    target[i + 3] += values[i + 3];
  }
  for (let i = whole; i < length; i++) target[i] += values[i];
}
