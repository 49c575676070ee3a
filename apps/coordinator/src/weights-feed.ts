import type { EventEmitter } from 'node:events';
import { type Chunk, chunksOf, send } from '@manyhands/proto';

type Reader = EventEmitter & { write(chunk: Chunk): boolean; end(): void; readonly destroyed?: boolean };

/**
 * Every version of the weights, to every reader. A version is an immutable copy, so a slow reader still finishes the
 * one it began while the next is computed; the versions in between it never sees.
 */
export class WeightsFeed {
  private current: { version: number; values: Float32Array } | null = null;
  private wake: (() => void)[] = [];
  private closed = false;

  /** @param counted is told the bytes of every chunk sent */
  constructor(private readonly counted: (bytes: number) => void) {}

  publish(weights: Float32Array, version: number): void {
    this.current = { version, values: weights.slice() };
    this.wakeAll();
  }

  close(): void {
    this.closed = true;
    this.wakeAll();
  }

  /** Feeds one reader until it goes or the feed closes. */
  async subscribe(reader: Reader): Promise<void> {
    let sent: number | null = null;
    while (!this.closed) {
      const { current } = this;
      if (current === null || current.version === sent) {
        await this.news(reader);
      } else {
        for (const chunk of chunksOf(current.values, current.version)) {
          if (!(await send(reader, chunk))) return;
          this.counted(chunk.data.length);
        }
        sent = current.version;
      }
      if (reader.destroyed) return;
    }
    reader.end();
  }

  private news(reader: Reader): Promise<void> {
    return new Promise((resolve) => {
      this.wake.push(resolve);
      for (const gone of ['close', 'cancelled', 'error']) reader.once(gone, resolve);
    });
  }

  private wakeAll(): void {
    const waiting = this.wake;
    this.wake = [];
    for (const resolve of waiting) resolve();
  }
}
