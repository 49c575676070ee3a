import { BufferPool, type Range, sharedFloats, TreeSum } from '@manyhands/core/reduce';
import { type Piece, piecesOf } from '@manyhands/proto';

/**
 * The sum of a step's gradients, piece by piece: each piece of the flat array has the batch's tree of its own, so that
 * it is added up while later pieces are still computed. Sums over a node are equal whoever computes them: what has been
 * added for a piece already is not added again, whether it comes whole or in parts.
 */
export class GradientSum {
  /** The finished pieces, in shared memory. */
  readonly gradient: Float32Array;
  private readonly pieces: readonly Piece[];
  private readonly pools = new Map<number, BufferPool>();
  /** By piece; null once it is whole. */
  private readonly trees = new Map<number, TreeSum | null>();
  private whole = 0;

  /** @param finished is told each piece that is whole */
  constructor(
    size: number,
    private readonly microBatches: number,
    private readonly finished: (piece: Piece) => void,
  ) {
    this.gradient = sharedFloats(size);
    this.pieces = piecesOf(size);
  }

  get complete(): boolean {
    return this.whole === this.pieces.length;
  }

  /**
   * Adds a piece of the sum over a node; `values` is only read. False where that was there already.
   * @throws RangeError where the range is no node of the batch's tree, or contains one that was added before
   */
  add(range: Range, piece: Piece, values: Float32Array): boolean {
    let tree = this.trees.get(piece.index);
    if (tree === undefined) {
      tree = new TreeSum(this.microBatches, this.pool(piece.to - piece.from));
      this.trees.set(piece.index, tree);
    }
    if (tree?.ranges.some((held) => contains(held, range)) !== false) return false;
    const target = this.gradient.subarray(piece.from, piece.to);
    if (range.count === this.microBatches) {
      target.set(values);
    } else {
      tree.add(range, values);
      if (!tree.complete) return true;
      target.set(tree.result());
      tree.release();
    }
    this.trees.set(piece.index, null);
    this.whole += 1;
    this.finished(piece);
    return true;
  }

  /** Begins the next step. */
  clear(): void {
    for (const tree of this.trees.values()) tree?.release();
    this.trees.clear();
    this.whole = 0;
  }

  /** All pieces but the last have one size. */
  private pool(size: number): BufferPool {
    const pool = this.pools.get(size) ?? new BufferPool(size);
    this.pools.set(size, pool);
    return pool;
  }
}

function contains(outer: Range, inner: Range): boolean {
  return outer.first <= inner.first && inner.first + inner.count <= outer.first + outer.count;
}
