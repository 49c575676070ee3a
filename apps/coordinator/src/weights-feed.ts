import type { EventEmitter } from 'node:events';
import { type Chunk, chunksOf, send } from '@manyhands/proto';

type Reader = EventEmitter & { write(chunk: Chunk): boolean; end(): void };

/**
 * Every version of the weights, to every reader. A version is an immutable copy, so a slow reader still finishes the
 * one it began while the next is computed; the versions in between it never sees.
 */
export class WeightsFeed {
  private current: { version: number; values: Float32Array } | null = null;
  private closed = false;
  /** Wakes each reader that has read all there is. */
  private readonly wakers = new Set<() => void>();

  /** @param counted is told the bytes of every chunk sent */
  constructor(private readonly counted: (bytes: number) => void) {}

  publish(weights: Float32Array, version: number): void {
    this.current = { version, values: weights.slice() };
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
      for (const chunk of chunksOf(current.values, current.version)) {
        if (gone || !(await send(reader, chunk))) break;
        this.counted(chunk.data.length);
      }
      sent = current.version;
    }
    this.wakers.delete(waker);
    if (!gone) reader.end();
  }
}
