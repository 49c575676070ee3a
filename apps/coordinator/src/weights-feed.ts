import { span } from '@manyhands/core/trace';
import {
  announce,
  CHUNK_VALUES,
  ChunkMemory,
  type EncodedChunk,
  type MessageWriter,
  type Piece,
  piecesOf,
  type SharedTensor,
  sendAll,
  type TensorChunk,
} from '@manyhands/proto';
import { Turns } from './turns.js';

/** Readers that are sent the data at once: enough to fill any line, and the first of many begin early. */
const ABREAST = 8;
/** Milliseconds after which a reader that is slow goes on beside the next ones. */
const PATIENCE_MILLISECONDS = 500;

type Reader = MessageWriter<TensorChunk> & { end(): void };

/** One version as it becomes final. */
interface Snapshot {
  readonly version: number;
  /** By piece: whether it is final. */
  readonly final: boolean[];
  /** By piece, where a reader is sent the data: an immutable copy, as the message that all readers share. */
  readonly copies: EncodedChunk[];
  /** How many are being sent the data now. */
  readers: number;
}

/**
 * Each version of the weights, from its first piece on, to the workers that compute with it: to those whose turn it is as
 * soon as there is a piece, to others when they are given work. A reader of this machine is told
 * where in shared memory a piece is; to others it is sent, a few at a time. A slow one of these still finishes the version that it began
 * while the next is computed; the versions in between it never sees.
 */
export class WeightsFeed {
  private readonly pieces: readonly Piece[];
  private current: Snapshot | null = null;
  private closed = false;
  /** Readers that are sent the data. */
  private sending = 0;
  private readonly turns = new Turns(ABREAST, PATIENCE_MILLISECONDS);
  /** By piece: memory of copies that nobody reads any more. */
  private readonly spare: ChunkMemory[][];
  /** By worker: the last version that it has work for, or is to have. */
  private readonly wanted = new Map<string, number>();
  /** Wakes all that wait for something new. */
  private readonly wakers = new Set<() => void>();

  /**
   * @param weights flat; overwritten from `begin` to the last `fill`
   * @param counted is told the bytes of every version that a reader begins
   * @param shared holds the versions with an even number and those with an odd one
   */
  constructor(
    private readonly weights: Float32Array,
    private readonly counted: (bytes: number) => void,
    private readonly shared: readonly [SharedTensor, SharedTensor] | null = null,
  ) {
    this.pieces = piecesOf(weights.length);
    this.spare = this.pieces.map(() => []);
  }

  /** A whole version at once. */
  publish(version: number): void {
    this.begin(version);
    this.fill(0, this.weights.length);
  }

  /**
   * Begins a version, after the last one was filled.
   * @param expected workers that are to have work in it
   */
  begin(version: number, expected: readonly string[] = []): void {
    const last = this.current;
    this.shared?.[version % 2].take(version);
    this.current = { version, final: [], copies: [], readers: 0 };
    if (last !== null) this.retire(last);
    for (const worker of expected) this.wanted.set(worker, version);
    this.wake();
  }

  /** The weights from … to−1 of the version that was begun, on the grid, are final. */
  fill(from: number, to: number): void {
    const { current, weights, shared } = this;
    if (current === null) throw new Error('no version was begun');
    const began = performance.now();
    const { version } = current;
    for (const piece of this.pieces.slice(Math.ceil(from / CHUNK_VALUES), Math.ceil(to / CHUNK_VALUES))) {
      current.final[piece.index] = true;
      shared?.[version % 2].write(version, piece.from, weights.subarray(piece.from, piece.to));
      if (shared === null || this.sending > 0) this.copy(current, piece);
    }
    span('publish', began, { version, from, to });
    this.wake();
  }

  /** The worker has work in this version. */
  want(worker: string, version: number): void {
    this.wanted.set(worker, version);
    this.wake();
  }

  close(): void {
    this.closed = true;
    this.wake();
  }

  /**
   * Feeds a worker's reader until it goes or the feed closes.
   * @param shares whether it reads the shared memory itself
   */
  async subscribe(worker: string, reader: Reader, shares: boolean): Promise<void> {
    let gone = false;
    for (const end of ['close', 'cancelled', 'error']) {
      reader.on(end, () => {
        gone = true;
        this.wake();
      });
    }
    const over = () => this.closed || gone;
    if (!shares) this.startSending();
    let sent: number | null = null;
    while (!over()) {
      if (this.due(worker, sent) === null) {
        await this.news();
        continue;
      }
      const end = shares ? () => {} : await this.turns.take();
      // While it waited, another version may have begun.
      const current: Snapshot | null = over() ? null : this.due(worker, sent);
      if (current === null) {
        end();
        continue;
      }
      if (!shares) current.readers += 1;
      this.counted(this.weights.byteLength);
      if (!(await sendAll(reader, this.chunksOf(current, shares, over)))) gone = true;
      end();
      sent = current.version;
      if (shares) continue;
      current.readers -= 1;
      this.retire(current);
    }
    this.wanted.delete(worker);
    if (!shares) this.sending -= 1;
    if (!gone) reader.end();
  }

  /** The version that the worker is to be sent after version `sent`; null where there is none yet. */
  private due(worker: string, sent: number | null): Snapshot | null {
    const { current } = this;
    if (current === null || current.version === sent) return null;
    return this.wanted.get(worker) === current.version ? current : null;
  }

  private async *chunksOf(
    { version, final, copies }: Snapshot,
    shares: boolean,
    over: () => boolean,
  ): AsyncGenerator<TensorChunk> {
    for (const piece of this.pieces) {
      while (final[piece.index] !== true) {
        if (over()) return;
        await this.news();
      }
      yield shares ? announce(version, piece, this.weights.length) : copies[piece.index];
    }
  }

  /** From here on, whatever becomes final is copied, as what is final already, which the weights still hold. */
  private startSending(): void {
    this.sending += 1;
    const { current } = this;
    if (current === null) return;
    for (const piece of this.pieces) {
      if (current.final[piece.index] && current.copies[piece.index] === undefined) this.copy(current, piece);
    }
  }

  private copy({ version, copies }: Snapshot, piece: Piece): void {
    const { from, to, index } = piece;
    const memory = this.spare[index].pop() ?? new ChunkMemory(to - from);
    memory.values.set(this.weights.subarray(from, to));
    copies[index] = memory.chunk(version, piece, this.weights.length);
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
    if (snapshot === this.current || snapshot.readers > 0) return;
    for (const { index } of this.pieces) {
      const copy = snapshot.copies[index];
      if (copy !== undefined) this.spare[index].push(copy.memory);
    }
    snapshot.copies.length = 0;
  }
}
