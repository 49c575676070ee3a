import { span } from '@manyhands/core/trace';
import {
  CHUNK_VALUES,
  ChunkMemory,
  type EncodedChunk,
  type MessageWriter,
  type Piece,
  piecesOf,
  sendAll,
} from '@manyhands/proto';

type Reader = MessageWriter<EncodedChunk> & { end(): void };

/** An immutable copy of one version, as the messages that all readers share; it fills as the weights become final. */
interface Snapshot {
  readonly version: number;
  readonly memories: readonly ChunkMemory[];
  readonly chunks: EncodedChunk[];
  /** How many are being sent it now. */
  readers: number;
}

/**
 * Every version of the weights, to every reader, from its first piece on. A slow reader still finishes the version that
 * it began while the next is computed; the versions in between it never sees.
 */
export class WeightsFeed {
  private readonly pieces: readonly Piece[];
  private current: Snapshot | null = null;
  private closed = false;
  /** Memory of versions that nobody reads any more. */
  private readonly spare: (readonly ChunkMemory[])[] = [];
  /** Wakes all that wait for something new. */
  private readonly wakers = new Set<() => void>();

  /**
   * @param size of the flat weights
   * @param counted is told the bytes of every version that a reader begins
   */
  constructor(
    private readonly size: number,
    private readonly counted: (bytes: number) => void,
  ) {
    this.pieces = piecesOf(size);
  }

  /** A whole version at once. */
  publish(weights: Float32Array, version: number): void {
    this.begin(version);
    this.fill(weights, 0, this.size);
  }

  /** Begins a version, after the last one was filled. */
  begin(version: number): void {
    const last = this.current;
    const memories = this.spare.pop() ?? this.pieces.map(({ from, to }) => new ChunkMemory(to - from));
    this.current = { version, memories, chunks: [], readers: 0 };
    if (last !== null) this.retire(last);
    this.wake();
  }

  /** The weights from … to−1 of the version that was begun, on the grid, are final: they are copied here. */
  fill(weights: Float32Array, from: number, to: number): void {
    if (this.current === null) throw new Error('no version was begun');
    const began = performance.now();
    const { version, memories, chunks } = this.current;
    for (const piece of this.pieces.slice(Math.ceil(from / CHUNK_VALUES), Math.ceil(to / CHUNK_VALUES))) {
      const memory = memories[piece.index];
      memory.values.set(weights.subarray(piece.from, piece.to));
      chunks[piece.index] = memory.chunk(version, piece, this.size);
    }
    span('publish', began, { version, from, to });
    this.wake();
  }

  close(): void {
    this.closed = true;
    this.wake();
  }

  /** Feeds one reader until it goes or the feed closes. */
  async subscribe(reader: Reader): Promise<void> {
    let gone = false;
    for (const end of ['close', 'cancelled', 'error']) {
      reader.on(end, () => {
        gone = true;
        this.wake();
      });
    }
    const over = () => this.closed || gone;
    let sent: number | null = null;
    while (!over()) {
      const { current } = this;
      if (current === null || current.version === sent) {
        await this.news();
        continue;
      }
      current.readers += 1;
      this.counted(this.size * Float32Array.BYTES_PER_ELEMENT);
      if (!(await sendAll(reader, this.chunksOf(current, over)))) gone = true;
      current.readers -= 1;
      this.retire(current);
      sent = current.version;
    }
    if (!gone) reader.end();
  }

  private async *chunksOf({ chunks }: Snapshot, over: () => boolean): AsyncGenerator<EncodedChunk> {
    for (const { index } of this.pieces) {
      while (chunks[index] === undefined) {
        if (over()) return;
        await this.news();
      }
      yield chunks[index];
    }
  }

  private news(): Promise<void> {
    return new Promise((resolve) => this.wakers.add(resolve));
  }

  private wake(): void {
    const wakers = [...this.wakers];
    this.wakers.clear();
    for (const wake of wakers) wake();
  }

  private retire(snapshot: Snapshot): void {
    if (snapshot !== this.current && snapshot.readers === 0) this.spare.push(snapshot.memories);
  }
}
