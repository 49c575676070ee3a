import type { EventEmitter } from 'node:events';

/** The writing side of a gRPC call. */
export interface MessageWriter<Message> extends EventEmitter {
  write(message: Message, taken: () => void): boolean;
  readonly destroyed?: boolean;
}

const ENDS = ['close', 'error', 'cancelled'] as const;

/**
 * Writes messages in order, waiting while the other side does not read (gRPC's back-pressure), and resolves when every
 * one has left: until then the stream may still hold their data, which must not change.
 * @returns false where the stream closed before
 */
export function sendAll<Message>(
  stream: MessageWriter<Message>,
  messages: Iterable<Message>,
): Promise<boolean> {
  return new Promise((resolve) => {
    const iterator = messages[Symbol.iterator]();
    let waiting = 0;
    let finished = false;

    const settle = (sent: boolean) => {
      stream.off('drain', fill);
      for (const end of ENDS) stream.off(end, closed);
      resolve(sent);
    };
    const closed = () => settle(false);
    const taken = () => {
      waiting -= 1;
      if (finished && waiting === 0) settle(true);
    };
    const fill = () => {
      for (;;) {
        const next = iterator.next();
        if (next.done) {
          finished = true;
          if (waiting === 0) settle(true);
          return;
        }
        waiting += 1;
        if (!stream.write(next.value, taken)) return;
      }
    };

    if (stream.destroyed) {
      resolve(false);
      return;
    }
    stream.on('drain', fill);
    for (const end of ENDS) stream.on(end, closed);
    fill();
  });
}
