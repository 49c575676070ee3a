import { type Chunk, chunksOf, type MessageWriter, sendAll } from '@manyhands/proto';

type Reader = MessageWriter<Chunk> & { end(): void };

/** An immutable copy of one version, cut into messages once for all readers. */
interface Snapshot {
  readonly version: number;
  readonly values: Float32Array;
  readonly chunks: readonly Chunk[];
  /** How many are being sent it now. */
  readers: number;
}

/**
 * Every version of the weights, to every reader. A slow reader still finishes the version that it began while the next
 * is computed; the versions in between it never sees.
 */
export class WeightsFeed {
  private current: Snapshot | null = null;
  private closed = false;
  /** Memory of versions that nobody reads any more. */
  private readonly spare: Float32Array[] = [];
  /** Wakes each reader that has read all there is. */
  private readonly wakers = new Set<() => void>();

  /** @param counted is told the bytes of every version that was sent */
  constructor(private readonly counted: (bytes: number) => void) {}

  publish(weights: Float32Array, version: number): void {
    const last = this.current;
    const values = this.spare.pop() ?? new Float32Array(weights.length);
    values.set(weights);
    this.current = { version, values, chunks: [...chunksOf(values, version)], readers: 0 };
    if (last !== null) this.retire(last);
    for (const wake of this.wakers) wake();
  }

  close(): void {
    this.closed = true;
    for (const wake of this.wakers) wake();
  }

  /** Feeds one reader until it goes or the feed closes. */
  async subscribe(reader: Reader): Promise<void> {
    let gone = false;
    let wake = () => {};
    const waker = () => wake();
    this.wakers.add(waker);
    for (const end of ['close', 'cancelled', 'error']) {
      reader.on(end, () => {
        gone = true;
        wake();
      });
    }
    let sent: number | null = null;
    while (!this.closed && !gone) {
      const { current } = this;
      if (current === null || current.version === sent) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        continue;
      }
      current.readers += 1;
      if (await sendAll(reader, current.chunks)) this.counted(current.values.byteLength);
      else gone = true;
      current.readers -= 1;
      this.retire(current);
      sent = current.version;
    }
    this.wakers.delete(waker);
    if (!gone) reader.end();
  }

  private retire(snapshot: Snapshot): void {
    if (snapshot !== this.current && snapshot.readers === 0) this.spare.push(snapshot.values);
  }
}
