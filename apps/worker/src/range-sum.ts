import { type BufferPool, type Range, TreeSum } from '@manyhands/core/reduce';
import type { Losses } from './tasks.js';

/** A part of a range that one thread sums up, flat. */
export interface Part {
  readonly range: Range;
  readonly output: Float32Array;
}

/**
 * The sum of the gradients over a range of micro-batches while threads compute its parts: it becomes final from the end
 * of the flat array to its start, and can be read as far as all parts are.
 */
export class RangeSum {
  /** By part: everything of its output at and above is final. */
  private readonly marks: number[];
  private failure: Error | null = null;
  private waiting: { from: number; resolve(): void; reject(error: Error): void }[] = [];

  /** @param total micro-batches in the range, of which the parts are nodes */
  constructor(
    private readonly total: number,
    private readonly parts: readonly Part[],
    /** Of all micro-batches in order; rejects where a thread fails. */
    readonly losses: Promise<Losses>,
    /** Tells that the outputs are read. */
    readonly release: () => void,
  ) {
    this.marks = parts.map(({ output }) => output.length);
    losses.catch((error) => this.fail(error instanceof Error ? error : new Error(String(error))));
  }

  /** Part number `part` is final at and above `from`. */
  advance(part: number, from: number): void {
    this.marks[part] = Math.min(this.marks[part], from);
    const mark = Math.max(...this.marks);
    const due = this.waiting.filter((one) => one.from >= mark);
    this.waiting = this.waiting.filter((one) => one.from < mark);
    for (const { resolve } of due) resolve();
  }

  /** Resolves once everything at and above `from` can be read; rejects where that will never be. */
  final(from: number): Promise<void> {
    if (this.failure !== null) return Promise.reject(this.failure);
    if (Math.max(...this.marks) <= from) return Promise.resolve();
    return new Promise((resolve, reject) => this.waiting.push({ from, resolve, reject }));
  }

  /**
   * Adds the parts up along the batch's own tree. A node's subtree has the shape of a tree over its own micro-batches
   * alone, so they are counted from zero here.
   * @param target receives the values from `from` on
   * @param pool of arrays as long as `target`
   */
  read(from: number, target: Float32Array, pool: BufferPool): void {
    const slice = ({ output }: Part) => output.subarray(from, from + target.length);
    if (this.parts.length === 1) {
      target.set(slice(this.parts[0]));
      return;
    }
    const tree = new TreeSum(this.total, pool);
    for (const part of this.parts) tree.add(part.range, slice(part));
    target.set(tree.result());
    tree.release();
  }

  private fail(error: Error): void {
    this.failure = error;
    for (const { reject } of this.waiting.splice(0)) reject(error);
  }
}
